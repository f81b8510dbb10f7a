"""What is told of the guard: status, events and metrics as typed values, and their sentences."""
