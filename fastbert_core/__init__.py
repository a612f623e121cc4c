"""The shared core: a FastBERT that trains, traces, exits early and counts its FLOPs."""
