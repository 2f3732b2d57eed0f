"""The ModelRelease operator: releases machine-learning models safely on Kubernetes."""
