"""The main job, told as six lives of one release on a real cluster; also the end-to-end scenarios."""
