# blockzoo with CUDA, which torch's wheels bring along; the host needs a driver and the NVIDIA container toolkit.
# From the checkout: docker build -f docker/cuda.Dockerfile -t blockzoo-cuda .
# Then: docker run --rm --gpus all --shm-size 8g -v "$PWD":/work -u "$(id -u):$(id -g)" blockzoo-cuda benchmark ResNetBasicBlock --device cuda
FROM python:3.11-slim AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
COPY --from=wheel /wheels /wheels
COPY constraints.txt /wheels/
# torch.compile needs a C compiler
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/* \
    && pip install --no-cache-dir -c /wheels/constraints.txt /wheels/*.whl \
    && useradd --create-home blockzoo \
    && install -d -o blockzoo /work
USER blockzoo
WORKDIR /work
# whoever it runs as: caches where anyone may write
ENV HOME=/tmp BLOCKZOO_DATA=/work/data BLOCKZOO_CACHE=/tmp/blockzoo
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
ENTRYPOINT ["blockzoo"]
CMD ["--help"]
