//! Names of roles: a role, or several of them together.
//!
//! A step may run on several roles (`on: ["web", "worker"]`). Their hosts together are a role of the plan, whose name no
//! workflow can declare: `web + worker`. A host that fills both is in it once.

use crate::declared::{Declared, RoleKind};
use crate::limits;

const JOINT: &str = " + ";

/// The name of several roles together. The order in which they are written makes no difference.
pub(crate) fn together<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_unstable();
    names.join(JOINT)
}

/// The declared roles that a name means: one, or several together.
pub(crate) fn parts(name: &str) -> impl Iterator<Item = &str> {
    name.split(JOINT)
}

/// Whether a name means several roles.
pub(crate) fn is_several(name: &str) -> bool {
    name.contains(JOINT)
}

impl Declared {
    /// How many hosts fill a role, or several together; nothing where that is not known.
    pub(crate) fn role_kind(&self, name: &str) -> Option<RoleKind> {
        if !is_several(name) {
            return self.roles.get(name)?.kind;
        }
        let (mut least, mut most) = (0, 0usize);
        for part in parts(name) {
            let (min, max) = self.roles.get(part)?.kind?.range();
            // One host may fill all of them.
            (least, most) = (least.max(min), most.saturating_add(max));
        }
        Some(RoleKind::Many { min: least, max: most.min(limits::SLOTS) })
    }
}

impl RoleKind {
    /// At least and at most so many hosts.
    pub(crate) fn range(self) -> (usize, usize) {
        match self {
            RoleKind::One => (1, 1),
            RoleKind::Optional => (0, 1),
            RoleKind::Many { min, max } => (min, max),
        }
    }
}
