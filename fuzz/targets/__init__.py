"""What is fuzzed: ``run(data)`` of each module raises when something is wrong, ``seeds()`` are inputs to begin with."""
