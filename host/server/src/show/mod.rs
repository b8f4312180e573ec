//! A topology as people look at it: pictures, a description, and why it is as it is. Pure: a topology in, text out.
//!
//! Start at [`graph::Graph::of`], what there is to draw; [`mermaid`], [`dot`] and [`svg`] are three ways to write it down,
//! [`layout`] says where the last of them puts things. What a node does is put into words in [`words`] alone.

pub mod describe;
pub mod dot;
pub mod explain;
pub mod graph;
pub mod layout;
pub mod mermaid;
pub mod svg;
#[cfg(test)]
mod tests;
pub mod words;
