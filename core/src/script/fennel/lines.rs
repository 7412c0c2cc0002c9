//! Gives compiled Lua the lines of the file that its text was made from.
//!
//! Fennel's output is in another order than its input: the function that a call is given stands before the call. No text can
//! have both the order and the lines, so the lines are changed where Lua keeps them, in the dump of a compiled chunk. Every
//! place then comes out right by itself: in messages, on the stack, in what a script catches.
//!
//! A call in tail position leaves no frame, and so no place, and Fennel puts the last call of every function there: `ci.job` at
//! the end of a file, `rt.sh` at the end of a job. Tail calls are therefore made plain calls, but for those of a function to
//! itself: that is how Fennel writes loops, which may be long.
//!
//! The format is that of Lua 5.4's `ldump.c`, instructions are those of `lopcodes.h`; how a function keeps its lines is
//! `savelineinfo` of `lcode.c` and `luaG_getfuncline` of `ldebug.c`.

/// Dumps begin so: signature, version 5.4, format 0.
const HEADER: &[u8] = b"\x1bLua\x54\x00";
/// Check bytes, three sizes, an integer, a float, the count of upvalues.
const REST_OF_HEADER: usize = 6 + 3 + 8 + 8 + 1;
/// In the table of differences: the line is in the other table.
const ABSOLUTE: i8 = -128;
/// Most instructions between two absolute lines.
const STRIDE: u32 = 128;

const OP_MOVE: u8 = 0;
const OP_GETUPVAL: u8 = 9;
const OP_GETTABUP: u8 = 11;
const OP_SELF: u8 = 20;
const OP_CALL: u8 = 68;
const OP_TAILCALL: u8 = 69;
const OP_CLOSURE: u8 = 79;

/// The dump with plain calls and other lines: `line_of` is given a line of the Lua text. `None`: this is no dump of Lua 5.4.
pub(super) fn relocate(dump: &[u8], line_of: &dyn Fn(u32) -> u32) -> Option<Vec<u8>> {
    let mut copy = Copy { rest: dump.strip_prefix(HEADER)?, out: HEADER.to_vec() };
    copy.bytes(REST_OF_HEADER)?;
    copy.function(&|_| false, line_of)?;
    copy.rest.is_empty().then_some(copy.out)
}

/// Reads a dump and writes it again.
struct Copy<'a> {
    rest: &'a [u8],
    out: Vec<u8>,
}

impl<'a> Copy<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn bytes(&mut self, count: usize) -> Option<()> {
        let taken = self.take(count)?;
        self.out.extend_from_slice(taken);
        Some(())
    }

    /// A number in groups of 7 bits, the highest first; the last byte has its highest bit set.
    fn read_number(&mut self) -> Option<usize> {
        let mut number = 0_usize;
        loop {
            let byte = *self.take(1)?.first()?;
            number = number.checked_mul(128)?.checked_add(usize::from(byte & 0x7f))?;
            if byte & 0x80 != 0 {
                return Some(number);
            }
        }
    }

    fn write_number(&mut self, number: usize) {
        let groups = (usize::BITS - number.leading_zeros()).div_ceil(7).max(1);
        for group in (0..groups).rev() {
            let bits = (number >> (7 * group)) as u8 & 0x7f;
            self.out.push(if group == 0 { bits | 0x80 } else { bits });
        }
    }

    fn number(&mut self) -> Option<usize> {
        let number = self.read_number()?;
        self.write_number(number);
        Some(number)
    }

    /// Its length and one, or 0 for none; then its bytes.
    fn text(&mut self) -> Option<()> {
        let length = self.number()?;
        self.bytes(length.saturating_sub(1))
    }

    /// `is_own`: does this register of the enclosing function hold the function itself?
    fn function(&mut self, is_own: &dyn Fn(u8) -> bool, line_of: &dyn Fn(u32) -> u32) -> Option<()> {
        self.text()?;
        // The main function begins at line 0 and ends there.
        let defined = u32::try_from(self.read_number()?).ok()?;
        let ended = u32::try_from(self.read_number()?).ok()?;
        let moved = |line: u32| if line == 0 { 0 } else { line_of(line) };
        self.write_number(moved(defined) as usize);
        self.write_number(moved(ended) as usize);
        self.bytes(3)?;
        let code_size = self.number()?.checked_mul(4)?;
        let code_at = self.out.len();
        self.bytes(code_size)?;
        for _ in 0..self.number()? {
            let kind = *self.rest.first()?;
            self.bytes(1)?;
            match kind {
                // nil, false, true.
                0x00 | 0x01 | 0x11 => {}
                // An integer, a float.
                0x03 | 0x13 => self.bytes(8)?,
                // A short and a long text.
                0x04 | 0x14 => self.text()?,
                _ => return None,
            }
        }
        // Of each whether it is a register of the enclosing function, which, and a kind.
        let upvalues_size = self.number()?.checked_mul(3)?;
        let (upvalues, _) = self.rest.split_at_checked(upvalues_size)?;
        self.bytes(upvalues_size)?;
        let code = instructions(self.out.get(code_at..code_at.checked_add(code_size)?)?);
        let is_itself = |upvalue: u32| {
            let upvalue = upvalues.chunks_exact(3).nth(upvalue as usize);
            upvalue.is_some_and(|upvalue| matches!(upvalue, [1, register, _] if is_own(*register)))
        };
        for (index, instruction) in code.iter().enumerate() {
            if instruction.opcode() == OP_TAILCALL && !calls_itself(&code, index, &is_itself) {
                let at = code_at + 4 * index;
                self.out.get_mut(at..at + 4)?.copy_from_slice(&instruction.plain_call().0.to_le_bytes());
            }
        }
        for child in 0..self.number()? {
            let is_child = |register| {
                let makes = |made: &Instruction| made.opcode() == OP_CLOSURE && made.bx() as usize == child;
                code.iter().any(|made| makes(made) && made.a() == register)
            };
            self.function(&is_child, line_of)?;
        }
        self.lines(defined, moved(defined), line_of)?;
        for _ in 0..self.number()? {
            self.text()?;
            self.number()?;
            self.number()?;
        }
        for _ in 0..self.number()? {
            self.text()?;
        }
        Some(())
    }

    /// A difference for each instruction, then the absolute lines: those at too great a distance, and one at every stride.
    fn lines(&mut self, defined: u32, new_defined: u32, line_of: &dyn Fn(u32) -> u32) -> Option<()> {
        let count = self.read_number()?;
        let differences = self.take(count)?;
        let mut absolute = Vec::new();
        for _ in 0..self.read_number()? {
            absolute.push((self.read_number()?, u32::try_from(self.read_number()?).ok()?));
        }
        let mut absolute = absolute.into_iter().peekable();
        let (mut line, mut last, mut since) = (defined, new_defined, 0);
        let (mut new_differences, mut new_absolute) = (Vec::with_capacity(count), Vec::new());
        for (pc, difference) in differences.iter().enumerate() {
            let difference = difference.cast_signed();
            line = match absolute.next_if(|(at, _)| difference == ABSOLUTE && *at == pc) {
                Some((_, line)) => line,
                None => line.checked_add_signed(i32::from(difference))?,
            };
            let moved = line_of(line);
            match i8::try_from(i64::from(moved) - i64::from(last)) {
                Ok(difference) if difference != ABSOLUTE && since < STRIDE => {
                    new_differences.push(difference.cast_unsigned());
                    since += 1;
                }
                _ => {
                    new_differences.push(ABSOLUTE.cast_unsigned());
                    new_absolute.push((pc, moved));
                    since = 1;
                }
            }
            last = moved;
        }
        self.write_number(count);
        self.out.extend(new_differences);
        self.write_number(new_absolute.len());
        for (pc, line) in new_absolute {
            self.write_number(pc);
            self.write_number(line as usize);
        }
        Some(())
    }
}

/// Opcode in bits 0-6, then A (8 bits), k (1), B (8), C (8); Bx is all above A.
#[derive(Clone, Copy)]
struct Instruction(u32);

impl Instruction {
    fn opcode(self) -> u8 {
        self.0 as u8 & 0x7f
    }

    fn a(self) -> u8 {
        (self.0 >> 7) as u8
    }

    fn b(self) -> u32 {
        (self.0 >> 16) & 0xff
    }

    fn bx(self) -> u32 {
        self.0 >> 15
    }

    /// The same call, with all its results: C and k are 0. The `OP_RETURN` behind a tail call returns them.
    fn plain_call(self) -> Instruction {
        Instruction((self.0 & 0x00ff_7f80) | u32::from(OP_CALL))
    }
}

fn instructions(code: &[u8]) -> Vec<Instruction> {
    code.as_chunks().0.iter().map(|bytes| Instruction(u32::from_le_bytes(*bytes))).collect()
}

/// Is what the call at `index` calls the function that it stands in? What was last loaded into its register tells.
fn calls_itself(code: &[Instruction], index: usize, is_itself: &dyn Fn(u32) -> bool) -> bool {
    let Some((before, call)) = code.get(..index).zip(code.get(index)) else { return false };
    let loads = |opcode: u8| matches!(opcode, OP_MOVE | OP_GETUPVAL | OP_GETTABUP..=OP_SELF | OP_CALL | OP_CLOSURE);
    let loaded = before.iter().rev().find(|earlier| earlier.a() == call.a() && loads(earlier.opcode()));
    loaded.is_some_and(|loaded| loaded.opcode() == OP_GETUPVAL && is_itself(loaded.b()))
}

#[cfg(test)]
mod tests {
    use mlua::chunk::ChunkMode;
    use mlua::{Function, Lua};

    use super::*;

    fn dump(text: &str) -> Vec<u8> {
        Lua::new().load(text).set_name("@ci.fnl").into_function().expect("it compiles").dump(false)
    }

    fn run(dump: &[u8]) -> String {
        let lua = Lua::new();
        let f: Function = lua.load(dump).set_mode(ChunkMode::Binary).into_function().expect("it loads");
        f.call(()).expect("it runs")
    }

    /// A function that raises, called under pcall on each of many lines: what the messages say.
    fn errors(lines: usize) -> String {
        let mut text = "local out, nothing = {}, nil".to_owned();
        for _ in 0..lines {
            text.push_str("\nout[#out+1] = select(2, pcall(function() return nothing.x end)):match(':(%d+):')");
        }
        text + "\nlocal all = table.concat(out, ' ') return all"
    }

    #[test]
    fn the_same_lines_give_the_same_bytes() {
        for text in [
            "return 1",
            "local a <const> = 1.5 return function(...) local b = {a, true, false, nil, 'x', 1 << 40} return b end",
            &errors(3),
            &errors(300),
            &format!("x = 1{}y = 2 return x", "\n".repeat(1000)),
            &format!("return '{}'", "long".repeat(100)),
        ] {
            let dump = dump(text);
            assert_eq!(relocate(&dump, &|line| line).as_ref(), Some(&dump));
        }
    }

    #[test]
    fn tail_calls_leave_frames_but_for_those_of_a_function_to_itself() {
        let moved = |text: &str| run(&relocate(&dump(text), &|line| line).expect("a dump"));
        // All results come back, from functions with varying arguments and with variables to close as well.
        for function in [
            "local function f(...) return select('#', ...) .. 'x', ... end local function g(...) return f(...) end",
            "local function f(a, b) return 2 .. 'x', a, b end local function g(a, b) return f(a, b) end",
            "local t = {f = function(self, a, b) return 2 .. 'x', a, b end} local function g(a, b) return t:f(a, b) end",
            "local function g(a, b) local c = function() return a end return (function(...) return 2 .. 'x', ... end)(c(), b) end",
        ] {
            assert_eq!(moved(&format!("{function} return table.concat({{g('a', 'b')}}, ',')")), "2x,a,b", "{function}");
        }
        assert_eq!(
            moved(
                "local function loop(n) if n == 0 then return 'done' end return loop(n - 1) end return loop(1000000)"
            ),
            "done"
        );
        assert_eq!(
            moved(
                "local t = {} function t.f(n) if n == 0 then return 'done' end return t.f(n - 1) end
            return (select(2, pcall(t.f, 1000000))):match('stack overflow')"
            ),
            "stack overflow"
        );
        let places = "local function raise() error('x', 2) end\nlocal function f()\nreturn raise()\nend\n\
            local ok, message = pcall(f) return message";
        assert_eq!((run(&dump(places)), moved(places)), ("x".to_owned(), "ci.fnl:3: x".to_owned()));
    }

    #[test]
    fn messages_have_the_new_lines() {
        fn check(lines: usize, line_of: &dyn Fn(u32) -> u32) {
            let moved = relocate(&dump(&errors(lines)), line_of).expect("a dump");
            let expected: Vec<String> = (2..lines as u32 + 2).map(|line| line_of(line).to_string()).collect();
            assert_eq!(run(&moved), expected.join(" "));
        }
        check(5, &|line| line + 10);
        check(400, &|line| 1000 - line);
        check(400, &|line| if line % 2 == 0 { 1 } else { 100_000 });
        check(400, &|line| if line % 2 == 0 { 1 } else { 129 });
        check(400, &|_| 7);
    }

    #[test]
    fn what_is_no_dump_is_refused() {
        let dump = dump(&errors(2));
        for end in 0..dump.len() {
            assert_eq!(relocate(&dump[..end], &|line| line), None);
        }
        let longer: Vec<u8> = dump.iter().copied().chain([0]).collect();
        assert_eq!(relocate(&longer, &|line| line), None);
        fn property(mut bytes: Vec<u8>) -> bool {
            bytes.splice(0..0, HEADER.iter().copied());
            let _ = relocate(&bytes, &|line| line);
            true
        }
        quickcheck::quickcheck(property as fn(Vec<u8>) -> bool);
    }
}
