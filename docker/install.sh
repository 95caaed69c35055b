# Install into the image's environment and leave out, in the same layer, what nothing runs.
# Arguments: those of `pip install`. /tools holds pip and is mounted for this step only.
set -eu
cd /opt/openmofi
constraints=
[ ! -f requirements/constraints.txt ] || constraints='--constraint requirements/constraints.txt'
/tools/bin/pip --python bin/python install --no-cache-dir --no-input --root-user-action ignore \
  $constraints "$@"

packages=lib/python3.11/site-packages
# Without a C compiler triton cannot run: the library refuses `compiled` by name (models/device.py).
# Its 0.9 GB stay out, and torch's metadata no longer asks for it, or pip would bring it back.
rm -rf $packages/triton $packages/triton-*.dist-info
[ ! -d $packages/torch ] || sed -i '/^Requires-Dist: triton/d' $packages/torch-*.dist-info/METADATA
# Headers, static libraries and tests. numba compiles with numpy's headers in no case of ours.
rm -rf $packages/torch/include $packages/torch/share/cmake $packages/pyarrow/include
find $packages/nvidia -type d -name include -prune -exec rm -rf {} + 2>/dev/null || true
find $packages -type d -name tests -prune -exec rm -rf {} +
find $packages -type f -name '*.a' -delete
