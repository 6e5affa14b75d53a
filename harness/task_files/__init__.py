"""Tasks without Python: a YAML file that says where records are, what is asked, and how answers are scored."""

from harness.task_files.loading import TaskFile, drop_path, expand_folders, is_task_path, load_task, split_name

__all__ = ["TaskFile", "drop_path", "expand_folders", "is_task_path", "load_task", "split_name"]
