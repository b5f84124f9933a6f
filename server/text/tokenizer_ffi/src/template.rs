//! Chat templates: the Jinja dialect that transformers renders, on minijinja.

use std::ffi::CString;
use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;
use regex::Regex;
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};

const NAME: &str = "chat_template";
/// What one rendering may cost; a template that loops without end stops here. About 10 M instructions or 600 MB of text.
const FUEL: u64 = 10_000_000;
/// Marks errors that the template itself raised, with `raise_exception`.
const RAISED: &str = "raise_exception: ";

pub struct ChatTemplate {
    environment: Environment<'static>,
}

impl ChatTemplate {
    pub fn compile(source: &str) -> Result<Self, Error> {
        // {% generation %} marks the assistant's text for training; transformers renders its content as it is.
        static GENERATION: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"(\{%[-+]?\s*)(end)?generation(\s*[-+]?%\})").expect("a valid pattern"));
        let source = GENERATION.replace_all(source, |found: &regex::Captures| {
            let tag = if found.get(2).is_some() { "endif" } else { "if true" };
            format!("{}{tag}{}", &found[1], &found[3])
        });

        let mut environment = Environment::new();
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(call_python_method);
        environment.add_filter("trim", |text: &str, chars: Option<&str>| strip(text, chars, true, true).to_owned());
        environment.add_filter("tojson", to_json);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, format!("{RAISED}{message}")))
        });
        environment.add_function("strftime_now", strftime_now);
        environment.add_template_owned(NAME, source.into_owned())?;
        Ok(Self { environment })
    }

    /// An error says what the template has against the conversation.
    pub fn render(&self, context: Value) -> Result<String, String> {
        let template = self.environment.get_template(NAME).map_err(|error| error.to_string())?;
        template.render(context).map_err(|error| match error.detail().and_then(|detail| detail.strip_prefix(RAISED)) {
            Some(message) => format!("the chat template says: {message}"),
            None if error.kind() == ErrorKind::OutOfFuel => {
                "the chat template takes too many steps for this conversation; make it shorter".to_owned()
            }
            None => format!("the chat template fails on this conversation: {error}"),
        })
    }
}

/// Python's string methods; stripping differs from Rust's in what is white space.
fn call_python_method(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    if let (Some(text), "strip" | "lstrip" | "rstrip") = (value.as_str(), method) {
        let (chars,): (Option<&str>,) = minijinja::value::from_args(args)?;
        return Ok(Value::from(strip(text, chars, method != "rstrip", method != "lstrip")));
    }
    pycompat::unknown_method_callback(state, value, method, args)
}

fn strip<'a>(text: &'a str, chars: Option<&str>, left: bool, right: bool) -> &'a str {
    let is_stripped = |c: char| match chars {
        Some(chars) => chars.contains(c),
        None => c.is_whitespace() || ('\x1c'..='\x1f').contains(&c),
    };
    let text = if left { text.trim_start_matches(is_stripped) } else { text };
    if right {
        text.trim_end_matches(is_stripped)
    } else {
        text
    }
}

/// json.dumps(value, ensure_ascii=False, indent=indent): unlike Jinja's own filter it escapes nothing for HTML.
fn to_json(value: &Value, kwargs: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = kwargs.get("indent")?;
    kwargs.get::<Option<bool>>("ensure_ascii")?;
    kwargs.assert_all_used()?;
    let mut json = Vec::new();
    let written = match indent {
        Some(indent) => {
            let spaces = " ".repeat(indent);
            write_json(value, &mut json, PrettyFormatter::with_indent(spaces.as_bytes()))
        }
        None => write_json(value, &mut json, SpacedFormatter),
    };
    let failure = |e: String| Error::new(ErrorKind::BadSerialization, e);
    written.map_err(|e| failure(e.to_string()))?;
    String::from_utf8(json).map_err(|e| failure(e.to_string()))
}

fn write_json(value: &Value, json: &mut Vec<u8>, formatter: impl Formatter) -> serde_json::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(json, formatter))
}

/// Python's default separators: ", " and ": ".
struct SpacedFormatter;

impl Formatter for SpacedFormatter {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }
    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }
    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

/// datetime.now().strftime(format)
fn strftime_now(format: &str) -> Result<String, Error> {
    let format = CString::new(format).map_err(|e| Error::new(ErrorKind::InvalidOperation, e.to_string()))?;
    let mut text = [0u8; 256];
    // SAFETY: all pointers are to live locals; strftime writes at most text.len() bytes.
    let written = unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut local: libc::tm = std::mem::zeroed();
        libc::localtime_r(&now, &mut local);
        libc::strftime(text.as_mut_ptr().cast(), text.len(), format.as_ptr(), &local)
    };
    Ok(String::from_utf8_lossy(&text[..written]).into_owned())
}
