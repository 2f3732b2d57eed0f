"""What the demo's model server images are made with; the modules run inside the build."""
