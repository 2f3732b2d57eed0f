# The project's images: `operator`, `checks` (the probes) and `checks-torch` (the probes that need torch).
# BASE may be any image that has Python 3.11 or newer as `python`, with its venv module.
ARG BASE=python:3.11-slim-bookworm

# ---------------------------------------------------------------------------------------------------- what builds
FROM ${BASE} AS tools
COPY requirements/uv.txt /requirements/
RUN python -m venv /opt/tools \
    && /opt/tools/bin/python -m pip install --no-cache-dir --require-hashes -r /requirements/uv.txt
ENV PATH=/opt/tools/bin:${PATH} UV_LINK_MODE=copy UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 VIRTUAL_ENV=/opt/venv
RUN uv venv /opt/venv

FROM tools AS operator-environment
COPY requirements/operator.txt /requirements/
RUN uv pip install --require-hashes -r /requirements/operator.txt

FROM tools AS checks-environment
COPY requirements/checks.txt /requirements/
RUN uv pip install --require-hashes -r /requirements/checks.txt

# The lock leaves out the libraries of CUDA: torch names them itself, by version. TORCH_INDEX names an index with other
# builds of torch, such as those for CPUs, which need none.
FROM checks-environment AS torch-environment
COPY requirements/torch.txt /requirements/
ARG TORCH_INDEX=
RUN uv pip install --no-deps --require-hashes -r /requirements/torch.txt \
    && uv pip install --no-verify-hashes --constraints /requirements/torch.txt \
        ${TORCH_INDEX:+--index "${TORCH_INDEX}" --reinstall-package torch} torch

# Our own code lies beside the environments, so that a change of it changes only the last, small layer of an image.
FROM tools AS application
WORKDIR /source
COPY requirements/dev.txt requirements/
COPY pyproject.toml LICENSE ./
COPY canary_checks canary_checks
COPY operator operator
COPY slo_simulation slo_simulation
RUN uv build --wheel --require-hashes --build-constraints requirements/dev.txt --out-dir /dist \
    && uv pip install --no-deps --target /opt/operator /dist/*.whl \
    && rm -r /opt/operator/slo_simulation \
    && cp -a /opt/operator /opt/checks \
    && rm -r /opt/checks/modelrelease

# ------------------------------------------------------------------------------------------------------ what runs
# The interpreter never looks into the working directory, and the root file system may be read-only.
FROM ${BASE} AS runtime
ENV PATH=/opt/app/bin:/opt/venv/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/opt/app \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
WORKDIR /
USER 65532:65532

FROM runtime AS operator
COPY --from=operator-environment /opt/venv /opt/venv
COPY --from=application /opt/operator /opt/app
ENTRYPOINT ["python", "-m", "modelrelease"]

# What reads the text in images; fonts are not needed for that.
FROM runtime AS reader
USER 0
RUN apt-get update \
    && apt-get install -y --no-install-recommends tesseract-ocr \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log
USER 65532:65532

FROM reader AS checks
COPY --from=checks-environment /opt/venv /opt/venv
COPY --from=application /opt/checks /opt/app
ENTRYPOINT ["python", "-m", "canary_checks", "job"]

FROM reader AS checks-torch
COPY --from=torch-environment /opt/venv /opt/venv
COPY --from=application /opt/checks /opt/app
ENTRYPOINT ["python", "-m", "canary_checks", "job"]
