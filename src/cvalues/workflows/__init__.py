"""The only place where instruments, runner, study and report meet."""
