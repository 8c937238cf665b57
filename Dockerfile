# For processors:      docker build -t toraeval .
# For NVIDIA cards:    docker build -t toraeval:gpu --build-arg TORCH_INDEX=https://pypi.org/simple .
# (PyPI's torch holds the CUDA libraries; run it with --gpus all.)
#
#   docker run --rm -v "$PWD:/work" -v toraeval-cache:/cache toraeval score videos=my_clips trajectories=my_paths.json
FROM python:3.12-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 TORAEVAL_CACHE=/cache
# torch first and alone: a change of the code then leaves this layer as it is
COPY constraints.txt /src/
RUN pip install -c /src/constraints.txt --extra-index-url "$TORCH_INDEX" torch
COPY . /src
RUN pip install -c /src/constraints.txt /src && rm -rf /src && mkdir -m 777 /cache
WORKDIR /work
VOLUME /cache
ENTRYPOINT ["python", "-m", "toraeval"]
CMD ["--help"]
