//! The wallet daemon: keeps the keys, keeps no chain, trusts no node. The node comes first;
//! what stands here so far is the crate's place in the layers. Must never import the node.
