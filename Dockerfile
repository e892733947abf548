# The environment of requirements.lock, with its hashes, for a CPU. It has not been built where this project was made: that
# machine has no Docker daemon. The torch of the lock brings its GPU libraries, so the image takes about 7 GB.
#   docker build --tag repro .
#   docker run --rm repro                                     compares the container with what is committed
#   docker run --rm --publish 127.0.0.1:8888:8888 repro jupyter lab --ip=0.0.0.0        the notebooks; it prints the address
FROM python:3.11-slim-bookworm
RUN useradd --create-home reader
WORKDIR /repro
COPY requirements.lock .
RUN python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY --chown=reader . .
RUN python -m pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --editable . \
    && python -m pip check && chown reader /repro
USER reader
CMD ["python", "-m", "repro", "reproduce"]
