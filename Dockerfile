# The runtime: server, pipelines and models, no training dependency.
#   docker build -t snrstream .                           CPU
#   docker build -t snrstream --build-arg EXTRA=gpu .     ONNX Runtime with CUDA
#   docker run -p 9002:9002 snrstream
FROM debian:bookworm-slim

ARG EXTRA=cpu

RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/snrstream
RUN python3 -m venv venv
# Pipelines and models may be mounted there; noise measurements and raw data of failed scans are kept in /data.
ENV PATH=/opt/snrstream/venv/bin:$PATH PYTHONUNBUFFERED=1 \
    SNRSTREAM_PIPELINES=/opt/snrstream/pipelines SNRSTREAM_MODELS=/opt/snrstream/models \
    SNRSTREAM_NOISE_STORE=/data/noise

COPY pyproject.toml README.md LICENSE ./
COPY gadgets gadgets
COPY pipelines pipelines
COPY models models
RUN pip install --no-cache-dir ".[${EXTRA}]" \
 && python -c "from snrstream.chain.chain import preload; preload()"

COPY tools/demo.py tools/demo.py
COPY data/brain_16ch_r3.h5 data/README.md data/

EXPOSE 9002
CMD ["snrstream", "serve", "--host", "0.0.0.0", "--port", "9002", "--keep-raw", "/data/failed"]
