# The runtime: server, pipelines and models, without what only training needs. It runs as the user snrstream (uid 1000).
#   docker build -t snrstream .                           torch and ONNX Runtime for the CPU
#   docker build -t snrstream --build-arg EXTRA=gpu .     both with CUDA, several GB
#   docker run -p 9002:9002 -v snrstream:/data snrstream
FROM debian:bookworm-slim

ARG EXTRA=cpu,openvino

RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home snrstream \
 && install -d -o snrstream -g snrstream /data

WORKDIR /opt/snrstream
# Pipelines may be mounted over the folder below; noise measurements and raw data of failed scans are kept in /data. What
# numba compiles lies where the user can read it and write.
ENV PATH=/opt/snrstream/venv/bin:$PATH PYTHONUNBUFFERED=1 \
    SNRSTREAM_PIPELINES=/opt/snrstream/pipelines SNRSTREAM_NOISE_STORE=/data/noise NUMBA_CACHE_DIR=/opt/snrstream/numba

# torch first, for it is large and seldom changes. A CPU wheel in a folder that PIP_FIND_LINKS names is taken; otherwise
# uv knows where the CPU build is to be had, which pip does not.
COPY constraints.txt ./
RUN python3 -m venv venv \
 && torch=$(grep '^torch==' constraints.txt) \
 && if [ "$EXTRA" != gpu ] && ! pip install --quiet --no-cache-dir --no-index --no-deps "$torch"; then \
      pip install --quiet --no-cache-dir uv \
      && uv pip install --quiet --no-cache --torch-backend cpu "$torch" \
      && pip uninstall --quiet --yes uv; \
    fi

COPY pyproject.toml README.md LICENSE ./
COPY gadgets gadgets
COPY pipelines pipelines
COPY models models
RUN pip install --no-cache-dir --constraint constraints.txt ".[${EXTRA}]" \
 && python -c "from snrstream.chain.warm_up import preload; preload()" \
 && chown -R snrstream: numba

COPY tools/demo.py tools/demo.py
COPY data/brain_16ch_r3.h5 data/README.md data/

USER snrstream
VOLUME /data
EXPOSE 9002
CMD ["snrstream", "serve", "--host", "0.0.0.0", "--port", "9002", "--keep-raw", "/data/failed"]
