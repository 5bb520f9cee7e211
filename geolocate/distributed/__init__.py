"""One run over many machines: listed and planned here, worked off by Ray Data, partition by partition."""
