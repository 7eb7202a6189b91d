//! Files that a step writes: content may be secret, everything else about a file may not.

use super::Lower;
use crate::assets::normal_path;
use crate::declared::{ContentDecl, DatumDecl, FileDecl, PatchDecl, PatchKind, Scalar};
use crate::expression::TemplateSyntax;
use crate::fixed::Field;
use crate::plan::{Action, Datum, FileContent, FileSpec, Patch, ReplaceLine};
use crate::source::Spanned;
use crate::types::Type;
use crate::typing::Shape;

impl Lower<'_> {
    pub(super) fn files(&mut self, files: &[FileDecl]) -> Option<Vec<FileSpec>> {
        let files: Vec<_> = files.iter().enumerate().map(|(nth, file)| self.file(nth, file)).collect();
        files.into_iter().collect()
    }

    fn file(&mut self, nth: usize, file: &FileDecl) -> Option<FileSpec> {
        let to = file.to.as_ref().map(|to| self.typing.template(to, Some("be a path on the host")));
        let owner = file.owner.as_ref().map(|owner| self.typing.template(owner, Some("be the owner of a file")));
        let group = file.group.as_ref().map(|group| self.typing.template(group, Some("be the group of a file")));
        let mode = file.mode.as_ref().and_then(|mode: &Scalar<u32>| self.scalar(Some(mode), Field::FileMode(nth)));
        let content = file.content.as_ref().and_then(|content| {
            Some(match content {
                ContentDecl::Text(text) => FileContent::Text(self.typing.template(text, None)),
                ContentDecl::Jinja { file, vars } => FileContent::Jinja {
                    asset: normal_path(&file.value).ok()?,
                    vars: vars.iter().map(|(name, datum)| (name.value.clone(), self.datum(datum, false))).collect(),
                },
            })
        });
        Some(FileSpec { to: to?, content: content?, mode, owner, group, backup: file.backup })
    }

    pub(super) fn patch_file(&mut self, decl: &PatchDecl) -> Option<Action> {
        let path = decl.path.as_ref().map(|path| self.typing.template(path, Some("be a path on the host")));
        let mut lines = |list: &[TemplateSyntax]| list.iter().map(|line| self.typing.template(line, None)).collect();
        let patch = match decl.patch.as_ref()? {
            PatchKind::Json(map) => Patch::Json { merge: self.merge(map) },
            PatchKind::Toml(map) => Patch::Toml { merge: self.merge(map) },
            PatchKind::Yaml(map) => Patch::Yaml { merge: self.merge(map) },
            PatchKind::Lines { ensure, absent, replace } => Patch::Lines {
                ensure: lines(ensure),
                absent: lines(absent),
                replace: replace
                    .iter()
                    .map(|(pattern, with)| ReplaceLine {
                        pattern: pattern.clone(),
                        with: self.typing.template(with, None),
                    })
                    .collect(),
            },
        };
        Some(Action::PatchFile { path: path?, patch, create: decl.create })
    }

    /// In a merge `None` removes a key, so what may be absent must not come by an expression.
    fn merge(&mut self, map: &[(Spanned<String>, DatumDecl)]) -> Vec<(String, Datum)> {
        map.iter().map(|(key, datum)| (key.value.clone(), self.datum(datum, true))).collect()
    }

    /// A value that is written as data. Where it need not be `present`, what is absent is `none`.
    pub(super) fn datum(&mut self, datum: &DatumDecl, present: bool) -> Datum {
        match datum {
            DatumDecl::Null => Datum::Null,
            DatumDecl::Bool(b) => Datum::Bool(*b),
            DatumDecl::Int(i) => Datum::Int(*i),
            DatumDecl::Float(x) => Datum::Float(*x),
            DatumDecl::Text(text) => match text.only_expression() {
                Some(syntax) => {
                    let typed = if present { self.typing.present(syntax) } else { self.typing.expr(syntax) };
                    let inside = matches!(&typed.shape, Shape::Of(ty) if holds_secret(ty));
                    let secret = inside || typed.secret.is_some() || typed.presence.is_some();
                    Datum::Value { expr: typed.expr, secret }
                }
                None => Datum::Text(self.typing.template(text, None)),
            },
            DatumDecl::List(list) => Datum::List(list.iter().map(|datum| self.datum(datum, present)).collect()),
            DatumDecl::Map(map) => {
                Datum::Map(map.iter().map(|(key, datum)| (key.value.clone(), self.datum(datum, present))).collect())
            }
        }
    }
}

/// Whether a field somewhere in it is secret.
fn holds_secret(ty: &Type) -> bool {
    match ty {
        Type::List(of) | Type::Map(of) => holds_secret(of),
        Type::Record(fields) => fields.values().any(|field| field.secret || holds_secret(&field.ty)),
        Type::Text
        | Type::Int
        | Type::Float
        | Type::Bool
        | Type::Port
        | Type::Duration
        | Type::Bytes
        | Type::Url
        | Type::Address
        | Type::File
        | Type::Image
        | Type::Choice(_) => false,
    }
}
