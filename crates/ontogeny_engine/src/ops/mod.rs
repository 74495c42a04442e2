//! The operations a network is made of, one file each.
//!
//! Rows are examples or flattened (example, position) pairs; matrices are always two-dimensional. No
//! operation mixes examples, so a batch may be cut anywhere (which is why there is no batch norm).

mod activation;
mod arithmetic;
mod attention;
mod attention_kernels;
mod bounds;
mod bounds_conv2d;
mod box_growth;
mod conv2d;
mod conv2d_kernels;
mod conv_transpose2d;
mod crown;
mod embed;
mod gather_attention;
mod layer_norm;
mod linear;
mod loss;
mod margins;
mod narrow;
mod pool;
mod shape;

pub(crate) use bounds::Blocks;
pub(crate) use crown::Part;

pub use attention::{Attended, Heads, causal_attention};
pub use embed::embed;
pub use gather_attention::gather_attention;
