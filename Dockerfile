# docker build -t pygents .
# docker run -p 127.0.0.1:8000:8000 -v pygents:/data -e PYGENTS_ADMIN_KEY pygents                          the demo agents
# docker run … -v "$PWD:/code:ro" pygents serve my_agents.py                                               your own
FROM python:3.13-slim AS build

RUN python -m venv /opt/pygents
ENV PATH=/opt/pygents/bin:$PATH

WORKDIR /build
# On their own: they change less often than the code, and so this layer is seldom built again.
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY pygents_core pygents_core
# The tool that builds the wheel is in the lock file, for here; the service has no use for it.
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . \
    && pip install --no-cache-dir --no-deps dist/*.whl \
    && pip uninstall --yes setuptools \
    && mkdir /data


FROM python:3.13-slim

LABEL org.opencontainers.image.title="pygents" \
      org.opencontainers.image.description="Long-lived agents as a durable REST/SSE service." \
      org.opencontainers.image.licenses="MIT"

# pip stays: an image made FROM this one may add what its tools import.
COPY --from=build /opt/pygents /opt/pygents
# By number, so that nothing is needed in /etc/passwd; a new volume gets the owner that the folder has here.
COPY --from=build --chown=10001:10001 /data /data

# The service listens to everybody outside of the container, and so refuses to start without PYGENTS_ADMIN_KEY (or
# PYGENTS_ADMIN_KEY_FILE). The root file system may be read-only: everything that it writes is in /data.
ENV PATH=/opt/pygents/bin:$PATH \
    HOME=/data \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYGENTS_HOST=0.0.0.0 \
    PYGENTS_STORE=sqlite:////data/pygents.db

# Where your code is mounted or copied to, with its .env or pygents.toml if it has one.
WORKDIR /code
USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM

# Not healthy while it drains, too: whoever routes requests should look elsewhere by then.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --start-interval=1s CMD ["pygents", "health"]

ENTRYPOINT ["pygents"]
CMD ["serve", "--demo"]
