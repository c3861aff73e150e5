#!/usr/bin/env bash
# One job on a machine without network: makes an archive, trains models side by side, exports and packs them, in a given time.
#
#     tools/train_job.sh MINUTES VOLUMES OUT 'name=small batch=256' 'name=large batch=256 depths=2,2,4' ...
#
# MINUTES: from start to end. VOLUMES: folder for `prepare.py volumes`, or an archive that it has made.
# OUT: folder for what comes back: of each model NAME.tgz (model folder, best.pt, log.csv) and NAME.log.
# Then, for each model, settings of the recipe, its name among them.
#
# From the environment:
#     RECIPE   recipe of all models (tools/recipes/snraware_unet2d.toml)
#     PREPARE  options of `prepare.py volumes`: how many images, and so on
#     TRAIN    further options of `train.py`
#     WHEELS   folder of wheels (*.whl) of what the machine's Python lacks
#     PYTHON   that Python (python3)
#     WORK     folder for the archive and the runs, which stay there (default: one that goes again)
#     DRY=1    a few images and a tiny network, to see in two minutes, on any machine, that all of it works
set -uo pipefail
[ $# -ge 4 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
minutes=$1 volumes=$2 out=$3; shift 3
root=$(cd "$(dirname "$0")/.." && pwd) python=${PYTHON:-python3} recipe=${RECIPE:-} prepare=${PREPARE:-}
begun=$SECONDS seconds=$(awk "BEGIN { print int(60 * $minutes) }") packing=5
if [ -n "${DRY:-}" ]; then
  recipe=${recipe:-$root/tools/recipes/smoke.toml} prepare=${prepare:---images 6 --stacks 0 --series 0 --no-synthetic}
fi
recipe=${recipe:-$root/tools/recipes/snraware_unet2d.toml}
names=()
for settings in "$@"; do
  name=$(tr ' ' '\n' <<<"$settings" | sed -n 's/^name=//p')
  [ -n "$name" ] || { echo "settings '$settings' have no name; expected name=..., the model's" >&2; exit 2; }
  names+=("$name")
done
mkdir -p "$out" || exit 1
temporary=$(mktemp -d) work=${WORK:-}
work=${work:-$temporary}
mkdir -p "$work" || exit 1
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$temporary"' EXIT
trap 'exit 143' TERM INT
export PYTHONUNBUFFERED=1 PYTHONPATH="$root/gadgets:$root/tools${PYTHONPATH:+:$PYTHONPATH}" OMP_NUM_THREADS=1
if [ -n "${WHEELS:-}" ]; then
  "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$temporary/site" "$WHEELS"/*.whl || exit 1
  export PYTHONPATH="$temporary/site:$PYTHONPATH"
fi

archive=$volumes
if [ ! -d "$volumes/train" ]; then
  archive=$work/archive
  # shellcheck disable=SC2086 # options are words
  "$python" "$root/tools/prepare.py" volumes "$volumes" --archive "$archive" --workers "$(nproc)" $prepare || exit 1
  echo "archive ready after $((SECONDS - begun)) s: $(du -sh "$archive" | cut -f1)"
fi

threads=$(($(nproc) / $#))
runs=() failed=0
for number in "${!names[@]}"; do
  name=${names[$number]}
  left=$((seconds - packing - (SECONDS - begun)))
  # shellcheck disable=SC2086,SC2206 # settings are words
  words=(${TRAIN:-} ${@:number+1:1})
  # Should a run be late all the same: SIGTERM ends it after the step at work, and best.pt stands.
  timeout $((left + packing > 1 ? left + packing : 1)) "$python" "$root/tools/train.py" --recipe "$recipe" --archive "$archive" \
    --folder "$work/runs/$name" --output "$work/models/$name" --minutes "$(awk "BEGIN { print $left / 60 }")" \
    --threads $((threads > 0 ? threads : 1)) "${words[@]}" >"$out/$name.log" 2>&1 &
  runs+=($!)
done
for number in "${!names[@]}"; do
  name=${names[$number]}
  wait "${runs[$number]}" || { failed=1; echo "$name failed:" >&2; }
  tail -n 2 "$out/$name.log"
  parts=()
  for part in "models/$name" "runs/$name/best.pt" "runs/$name/log.csv"; do [ -e "$work/$part" ] && parts+=("$part"); done
  [ ${#parts[@]} -eq 0 ] || tar czf "$out/$name.tgz" -C "$work" "${parts[@]}" || failed=1
done
echo "done after $((SECONDS - begun)) s"
exit $failed
