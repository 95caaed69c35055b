# Write what an image holds: NAME.sbom.json and NAME.layers.txt.
# Arguments: engine, image, tag, folder, environment with cyclonedx-bom (Python 3.11, as the image).
set -eu
engine=$1 image=$2 tag=$3 out=$4 tools=$5
here=$(dirname "$0")
inside() {
  "$engine" run --rm --network none --read-only --tmpfs /tmp \
    --volume "$(realpath "$tools")/lib/python3.11/site-packages:/bom:ro" "$image:$tag" "$@"
}
# Not by PYTHONPATH, which the environment's own Python would inherit and list.
start='import runpy, sys; sys.path.insert(0, "/bom"); runpy.run_module("cyclonedx_py", run_name="__main__")'
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
inside /usr/bin/python3 -c "$start" environment /opt/openmofi/bin/python >"$work/python.json"
inside /usr/bin/python3 -c "$(cat "$here/list_debian_packages.py")" >"$work/debian.jsonl"
"$tools/bin/python" "$here/bill_of_materials.py" \
  "$work/python.json" "$work/debian.jsonl" "$out/$image.sbom.json" "$image" "$tag"
"$engine" history --no-trunc --human --format '{{.Size}}\t{{.CreatedBy}}' "$image:$tag" \
  | grep -v '^0 \?B' | cut -c 1-160 >"$out/$image.layers.txt"
echo "$image:$tag"
cat "$out/$image.layers.txt"
