"""The dancer: a body, a dance and a camera, as numbers; what draws them is an adapter."""
