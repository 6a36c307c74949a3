//! CASA Measurement Sets through casacore.
