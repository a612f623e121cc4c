"""What becomes of latency as the load grows: open-loop arrivals at stepped rates, on three ways of serving."""
