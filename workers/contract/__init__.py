"""The lowest floor: specs, identities, records, schema and the store. No TensorFlow, no Ray."""
