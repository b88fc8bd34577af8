"""The laws, one file each: what an excess loss should be, from measured traces."""
