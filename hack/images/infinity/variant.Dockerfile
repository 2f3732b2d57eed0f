# One layer over a model server image: the same model with one thing changed.
ARG PARENT
FROM ${PARENT}
ARG MODEL
ARG VARIANT
USER 0
RUN --mount=type=bind,source=variant.py,target=/variant.py python /variant.py "${VARIANT}" "/models/${MODEL}"
USER 65532:65532
