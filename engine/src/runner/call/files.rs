//! Files of a call: what is written, patched or brought to a host, rendered.

use dsl::data::Data;
use dsl::eval::eval;
use dsl::expr::Template;
use dsl::plan::{CopySpec, Datum, FileContent, FileSpec, Patch, UploadFrom};
use dsl::value::Value;
use store::Secret;

use super::{FileToWrite, Renderer, UploadSource, other, read_file_name};
use crate::action::copy::FileToCopy;
use crate::action::patch::{Patch as RenderedPatch, lines::Lines};
use crate::operation::Failure;

impl Renderer<'_> {
    /// Under which name a node's backups lie on its host: the same in every attempt, for an undo too.
    pub(super) fn keep(&self) -> String {
        read_file_name(&self.job.node).2.to_owned()
    }

    pub(crate) fn file(&self, file: &FileSpec) -> Result<FileToWrite, Failure> {
        let to = self.absolute("`to`", &file.to)?;
        let content = match &file.content {
            FileContent::Text(text) => self.text(&format!("the content of `{to}`"), text)?,
            FileContent::Jinja { asset, vars } => self.jinja(asset, vars)?,
        };
        let name = |what: &str, name: &Option<Template>| name.as_ref().map(|name| self.text(what, name)).transpose();
        Ok(FileToWrite {
            mode: file.mode(),
            owner: name("`owner`", &file.owner)?,
            group: name("`group`", &file.group)?,
            keep: file.backup.then(|| self.keep()),
            content: Secret::from(content),
            to,
        })
    }

    pub(crate) fn patch(&self, patch: &Patch) -> Result<RenderedPatch, Failure> {
        Ok(match patch {
            Patch::Json { merge } => RenderedPatch::Json(self.data(merge)?),
            Patch::Toml { merge } => RenderedPatch::Toml(self.data(merge)?),
            Patch::Yaml { merge } => RenderedPatch::Yaml(self.data(merge)?),
            Patch::Lines { ensure, absent, replace } => RenderedPatch::Lines(Lines {
                ensure: self.texts("a line", ensure)?,
                absent: self.texts("a line", absent)?,
                replace: replace
                    .iter()
                    .map(|replace| Ok((replace.pattern.clone(), self.text("a line", &replace.with)?)))
                    .collect::<Result<_, Failure>>()?,
            }),
        })
    }

    pub(super) fn copy(&self, copy: &CopySpec) -> Result<FileToCopy, Failure> {
        let source = self.plan.roles.get(&copy.from_role).and_then(|role| role.slots.first());
        let name = |what: &str, name: &Option<Template>| name.as_ref().map(|name| self.text(what, name)).transpose();
        Ok(FileToCopy {
            source: source.ok_or_else(|| other(format!("the role `{}` has no host", copy.from_role)))?.clone(),
            from: self.absolute("the path of `from`", &copy.from)?,
            to: self.absolute("the path of `to`", &copy.to)?,
            mode: copy.mode,
            owner: name("`owner`", &copy.owner)?,
            group: name("`group`", &copy.group)?,
            keep: copy.backup.then(|| self.keep()),
        })
    }

    fn data(&self, entries: &[(String, Datum)]) -> Result<Vec<(String, Data)>, Failure> {
        let entry = |(name, datum): &(String, Datum)| match dsl::data::evaluate(datum, self.scope) {
            Ok(value) => Ok((name.clone(), value)),
            Err(error) => Err(other(format!("`{name}` cannot be evaluated: {error}"))),
        };
        entries.iter().map(entry).collect()
    }

    fn jinja(&self, asset: &str, vars: &[(String, Datum)]) -> Result<String, Failure> {
        let values = self.data(vars)?;
        let text = self.assets.asset(asset).map_err(|error| other(error.to_string()))?;
        let text = String::from_utf8(text).map_err(|_| other(format!("`{asset}` is not UTF-8")))?;
        dsl::jinja::render(&text, values).map_err(|why| other(format!("the template `{asset}` gives nothing: {why}")))
    }

    pub(super) fn upload(&self, from: &UploadFrom) -> Result<UploadSource, Failure> {
        match from {
            UploadFrom::Asset(path) => Ok(UploadSource::Asset {
                bytes: self.assets.asset(path).map_err(|error| other(error.to_string()))?,
                sha256: self.plan.assets.get(path).map(|asset| asset.sha256.clone()).unwrap_or_default(),
            }),
            UploadFrom::File(expr) => match eval(expr, self.scope) {
                Ok(Value::File(file)) => Ok(UploadSource::File(file)),
                Ok(value) => Err(other(format!("`from` is {}, not a file", value.kind()))),
                Err(error) => Err(other(format!("`from` cannot be evaluated: {error}"))),
            },
        }
    }
}
