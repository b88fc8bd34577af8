"""Ray Tune drives tasks over slots; this folder alone imports ray."""
