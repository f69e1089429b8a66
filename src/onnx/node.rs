//! One node of a file with the values that it computes from.

use super::proto::{self, Attribute};
use super::value::{Features, Floats, NodeResult, Operand, axis, single};
use crate::wording::shown;

/// A node while it is read.
pub struct FileNode<'a> {
    pub proto: &'a proto::NodeProto,
    /// The version of the operators.
    pub opset: i64,
    /// What it computes from; None where an input is left out.
    pub inputs: Vec<Option<Operand>>,
    /// The types of those inputs that are numbers of the file; 0 where it is none.
    pub kinds: Vec<i32>,
}

impl FileNode<'_> {
    /// What it computes.
    pub fn op(&self) -> &str {
        self.proto.op_type.as_deref().unwrap_or_default()
    }

    /// A name to tell it from others: its own, or that of what it gives.
    pub fn name(&self) -> &str {
        let own = self.proto.name.as_deref().filter(|name| !name.is_empty());
        own.or(self.proto.output.first().map(String::as_str)).unwrap_or_default()
    }

    /// An input that has to be there.
    pub fn input(&self, i: usize) -> NodeResult<&Operand> {
        self.optional(i).ok_or_else(|| format!("has no input {}", i + 1))
    }

    /// An input that may be left out.
    pub fn optional(&self, i: usize) -> Option<&Operand> {
        self.inputs.get(i)?.as_ref()
    }

    /// The type of an input's numbers; 0 if they are none of the file.
    pub fn kind(&self, i: usize) -> i32 {
        self.kinds.get(i).copied().unwrap_or_default()
    }

    /// Inputs up to the last that is given.
    pub fn given_inputs(&self) -> usize {
        self.inputs.iter().rposition(Option::is_some).map_or(0, |last| last + 1)
    }

    /// The name of an input in the file.
    pub fn input_name(&self, i: usize) -> &str {
        self.proto.input.get(i).map_or("", String::as_str)
    }

    /// What the layer is called whose parameter this input is: `conv1` of `conv1.weight`; the node's name if the file has
    /// given the parameter a name of its own.
    pub fn parameters_name(&self, i: usize) -> String {
        let name = self.input_name(i).strip_suffix(".weight").filter(|name| !name.contains("::"));
        name.unwrap_or(self.name()).to_owned()
    }

    pub fn features(&self, i: usize) -> NodeResult<&Features> {
        self.input(i)?.features()
    }

    /// Features, and the axis of their images.
    pub fn with_images(&self, i: usize) -> NodeResult<(&Features, usize)> {
        self.input(i)?.with_images()
    }

    pub fn floats(&self, i: usize) -> NodeResult<&Floats> {
        self.input(i)?.floats()
    }

    /// Whether nothing that it computes from depends on an image.
    pub fn is_constant(&self) -> bool {
        self.inputs.iter().flatten().all(Operand::is_constant)
    }

    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.proto.attribute.iter().find(|a| a.name.as_deref() == Some(name))
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|a| a.i).unwrap_or(default)
    }

    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).and_then(|a| a.f).unwrap_or(default)
    }

    pub fn text(&self, name: &str) -> &str {
        let bytes = self.attribute(name).and_then(|a| a.s.as_deref()).unwrap_or_default();
        str::from_utf8(bytes).unwrap_or("?")
    }

    pub fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|a| a.ints.clone())
    }

    /// The limits of a Clip, which are attributes in old files and inputs in new ones; infinite ones if they are neither.
    pub fn limits(&self) -> NodeResult<[f32; 2]> {
        let limit = |name, input, none| match self.optional(input) {
            Some(value) => single(value.floats()?),
            None => Ok(self.float(name, none)),
        };
        Ok([limit("min", 1, f32::NEG_INFINITY)?, limit("max", 2, f32::INFINITY)?])
    }

    /// Numbers that are an attribute in old files and an input in new ones; None if they are neither.
    pub fn given(&self, name: &str, input: usize) -> NodeResult<Option<Vec<i64>>> {
        match (self.ints(name), self.optional(input)) {
            (Some(numbers), _) => Ok(Some(numbers)),
            (None, Some(value)) => value.wholes().map(Some),
            (None, None) => Ok(None),
        }
    }

    /// As [`given`](Self::given), axes of an array of this many.
    pub fn axes(&self, input: usize, rank: usize) -> NodeResult<Option<Vec<usize>>> {
        let given = self.given("axes", input)?;
        given.map(|all| all.into_iter().map(|a| axis(a, rank)).collect()).transpose()
    }

    /// A number for each side: [y, x].
    pub fn sides(&self, name: &str, default: usize) -> NodeResult<[usize; 2]> {
        let Some(numbers) = self.ints(name) else { return Ok([default; 2]) };
        match numbers[..] {
            [y, x] if y >= 0 && x >= 0 => Ok([y as usize, x as usize]),
            _ => Err(format!("has {name} {numbers:?}; two of images are possible")),
        }
    }

    /// The border that is added for a kernel on an input of these sides: before and after, [y, x] each.
    pub fn pads(
        &self,
        input: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
    ) -> NodeResult<[[usize; 2]; 2]> {
        if stride.contains(&0) {
            return Err("has strides of 0".into());
        }
        let total = |i: usize| {
            let windows = input[i].div_ceil(stride[i]).saturating_sub(1);
            windows.saturating_mul(stride[i]).saturating_add(kernel[i]).saturating_sub(input[i])
        };
        let (y, x) = (total(0), total(1));
        match self.text("auto_pad") {
            "" | "NOTSET" => {}
            "VALID" => return Ok([[0; 2]; 2]),
            "SAME_UPPER" => return Ok([[y / 2, x / 2], [y.div_ceil(2), x.div_ceil(2)]]),
            "SAME_LOWER" => return Ok([[y.div_ceil(2), x.div_ceil(2)], [y / 2, x / 2]]),
            other => return Err(format!("has auto_pad `{}`", shown(other))),
        }
        let Some(pads) = self.ints("pads") else { return Ok([[0; 2]; 2]) };
        match pads[..] {
            [top, left, bottom, right] if pads.iter().all(|&pad| pad >= 0) => {
                Ok([[top as usize, left as usize], [bottom as usize, right as usize]])
            }
            _ => Err(format!("has pads {pads:?}; four of at least 0 are possible")),
        }
    }
}
