"""What a process stands on: devices, pinning, environment, GPU memory, code, and what it has built before."""
