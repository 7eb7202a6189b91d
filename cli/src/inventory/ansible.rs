//! Ansible's inventories as they are.

pub mod groups;
pub mod load;
pub mod script;
pub mod vault;
pub mod ini;
pub mod pattern;
pub mod python;
pub mod tree;
pub mod value;
pub mod words;
pub mod wrong;
pub mod yaml;

#[cfg(test)]
mod oracle;
