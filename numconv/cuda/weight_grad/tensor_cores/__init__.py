"""Weight gradients as products on tensor cores: half types, and float32 rounded to tf32."""
