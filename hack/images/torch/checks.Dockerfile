# As `checks-torch` of the project's Dockerfile, for a machine without a GPU, and small enough for a local cluster.
ARG PARENT
FROM ${PARENT}
COPY canary_checks /opt/app/canary_checks
ENTRYPOINT ["python", "-m", "canary_checks", "job"]
