# docker build -t verbatim .                           for a CPU
# docker build -t verbatim:cuda --build-arg EXTRAS=cuda,postgres .    for NVIDIA GPUs; the driver comes from the host
ARG PYTHON_VERSION=3.12
ARG NODE_VERSION=22

# The page. Nothing of Node is in the final image.
FROM node:${NODE_VERSION}-slim AS page
WORKDIR /build/src/verbatim/web
COPY src/verbatim/web/package.json src/verbatim/web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY src/verbatim/web/ ./
RUN npm run build

FROM python:${PYTHON_VERSION}-slim AS install
ARG EXTRAS=postgres
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/verbatim
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY tools/build_page.py tools/build_page.py
COPY src/ src/
COPY --from=page /build/src/verbatim/web/dist/ src/verbatim/web/dist/
# Compiled here, because the running container cannot write it.
RUN /opt/verbatim/bin/pip install --no-compile ".[${EXTRAS}]" \
  && /opt/verbatim/bin/python -m compileall -q /opt/verbatim/lib

FROM python:${PYTHON_VERSION}-slim
LABEL org.opencontainers.image.title="Verbatim" \
  org.opencontainers.image.description="Speech to text on your own machine, with Whisper" \
  org.opencontainers.image.licenses="MIT"
# Any user may run it, so these belong to all; a volume takes their rights over.
RUN useradd --uid 1000 --no-create-home --home-dir /data verbatim \
  && install --directory --mode=0777 /data /models
COPY --from=install /opt/verbatim /opt/verbatim
ENV PATH=/opt/verbatim/bin:$PATH \
  HOME=/data \
  HF_HOME=/models \
  PYTHONDONTWRITEBYTECODE=1 \
  PYTHONUNBUFFERED=1 \
  VERBATIM_HOST=0.0.0.0 \
  VERBATIM_PORT=8000 \
  VERBATIM_DATA_DIR=/data/verbatim \
  VERBATIM_SPOOL_DIR=/data/spool
VOLUME ["/data", "/models"]
EXPOSE 8000
USER 1000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['VERBATIM_PORT']}/health\", timeout=4)"]
ENTRYPOINT ["verbatim"]
CMD ["serve"]
