//! evaluate-condition
