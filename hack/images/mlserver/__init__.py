"""A model server that speaks the Open Inference Protocol: MLServer with a runtime of our own."""
