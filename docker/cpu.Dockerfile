# blockzoo without CUDA. From the checkout: docker build -f docker/cpu.Dockerfile -t blockzoo .
# Then, in a folder of yours: docker run --rm -v "$PWD":/work -u "$(id -u):$(id -g)" blockzoo profile ResNetBasicBlock
FROM python:3.11-slim AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
COPY --from=wheel /wheels /wheels
COPY constraints.txt /wheels/
RUN pip install --no-cache-dir -c /wheels/constraints.txt --index-url https://download.pytorch.org/whl/cpu torch torchvision \
    && pip install --no-cache-dir -c /wheels/constraints.txt /wheels/*.whl \
    && useradd --create-home blockzoo \
    && install -d -o blockzoo /work
USER blockzoo
WORKDIR /work
# whoever it runs as: caches where anyone may write
ENV HOME=/tmp BLOCKZOO_DATA=/work/data BLOCKZOO_CACHE=/tmp/blockzoo
ENTRYPOINT ["blockzoo"]
CMD ["--help"]
