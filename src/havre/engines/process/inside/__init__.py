"""What runs inside a replica from source before its program does: an own address for whoever asks for every one."""
