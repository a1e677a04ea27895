"""`s3-upload completion SHELL`: a script that has the shell complete flags, their values, profiles, files and
buckets.

Made from the same dataclasses as the help.  The scripts ask nobody and start no Python, but for what follows
s3://: a profile's name comes from the AWS files by `sed`, a bucket's from the store (`buckets.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_upload.cli.names import BUCKETS
from s3_upload.cli.options.flags import all_flags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_upload.cli.options.flags import Flag

SHELLS = ("bash", "zsh", "fish")
_PROFILES = r"""{ sed -n 's/^\[profile  *\(.*\)\]$/\1/p; s/^\[\(default\)\]$/\1/p' \
      "${AWS_CONFIG_FILE:-$HOME/.aws/config}"; sed -n 's/^\[\(.*\)\]$/\1/p' \
      "${AWS_SHARED_CREDENTIALS_FILE:-$HOME/.aws/credentials}"; } 2>/dev/null | sort -u"""
_PATHS = ("FILE", "DIR")
# compgen -W expands what it is given, which is ours; what a name would have the shell do may be anything.
_BASH_REPLIES = r"""_s3_upload_reply() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$_s3_upload_cur")
}
_s3_upload_names() {
  local name quoted typed=${_s3_upload_cur#[\"\']}
  while IFS= read -r name; do
    printf -v quoted %q "$name"
    if [[ $name == "$typed"* || $quoted == "$typed"* ]]; then COMPREPLY+=("$name"); fi
  done
}"""


def script(shell: str, commands: Sequence[str]) -> str:
    """What the shell is to read, once: `source <(s3-upload completion bash)`."""
    flags = list(all_flags())
    if shell == "bash":
        return _bash(flags, commands)
    return _zsh(flags, commands) if shell == "zsh" else _fish(flags, commands)


def _values(flag: Flag) -> tuple[str, ...]:
    return flag.choices or (("AES256", "aws:kms") if "--sse" in flag.names else ())


def _bash(flags: list[Flag], commands: Sequence[str]) -> str:
    def case(names: Sequence[str], action: str) -> str:
        return f"    {'|'.join(names)}) {action};;"

    valued = [flag for flag in flags if flag.metavar]
    cases = [case(["--profile"], f"_s3_upload_names < <({_PROFILES}); return")]
    cases += [
        case(flag.names, f'_s3_upload_reply "{" ".join(_values(flag))}"; return')
        for flag in valued
        if _values(flag)
    ]
    paths = [name for flag in valued if flag.metavar in _PATHS for name in flag.names]
    cases.append(case(paths, "return"))  # readline completes files
    others = [
        name
        for flag in valued
        if flag.metavar not in _PATHS and not _values(flag) and flag.field != "profile"
        for name in flag.names
    ]
    cases.append(case(others, "compopt +o default +o bashdefault; return"))
    cases.append(case(["completion"], f'_s3_upload_reply "{" ".join(SHELLS)}"; return'))
    cases.append(case(["--help"], '_s3_upload_reply "sources store output objects tuning all"; return'))
    names = " ".join(name for flag in flags for name in flag.names)
    return "\n".join(
        [
            "# source <(s3-upload completion bash)",
            _BASH_REPLIES,
            # Mostly readline ends words at ":", and replaces what is behind it: that is what is offered then.
            "_s3_upload_buckets() {",
            "  local name",
            "  compopt -o nospace +o default +o bashdefault",
            "  if [[ ${1#s3://} == */* ]]; then return; fi",
            "  while read -r name; do",
            '    if [[ $name == "$1"* ]]; then COMPREPLY+=("${name#"$2"}"); fi',
            f'  done < <(s3-upload {BUCKETS} "$COMP_LINE" 2>/dev/null)',
            "}",
            "_s3_upload() {",
            '  local _s3_upload_cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}',
            '  if [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD - 2]}; fi',
            '  if [[ $_s3_upload_cur == = ]]; then before=${COMP_WORDS[COMP_CWORD - 1]} _s3_upload_cur=; fi',
            '  case $before in',
            *cases,
            "  esac",
            r"""  local url=${_s3_upload_cur#[\"\']}""",  # a word in quotes comes with the first
            '  if [[ $url == s3://* ]]; then',
            '    _s3_upload_buckets "$url" ""',
            '  elif [[ $before == : && ${COMP_WORDS[COMP_CWORD - 2]}:$_s3_upload_cur == s3://* ]]; then',
            '    _s3_upload_buckets "s3:$_s3_upload_cur" s3:',
            '  elif [[ $_s3_upload_cur == -* ]]; then',
            f'    _s3_upload_reply "{names} --help --help-all --version"',
            "  elif ((COMP_CWORD == 1)); then",
            f'    _s3_upload_reply "{" ".join(commands)}"',
            '    mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$_s3_upload_cur")',
            "  fi",
            "}",
            "complete -o bashdefault -o default -o filenames -F _s3_upload s3-upload",
        ]
    )  # fmt: skip


def _first_sentence(flag: Flag) -> str:
    return flag.text.partition(". ")[0].removesuffix(".")


def _zsh(flags: list[Flag], commands: Sequence[str]) -> str:
    lines = []
    for flag in flags:
        text = _first_sentence(flag).translate({ord(c): f"\\{c}" for c in "[]:\\"}).replace("'", "'\\''")
        if flag.field == "profile":
            value = ":NAME:_s3_upload_profiles"
        elif flag.metavar in _PATHS:
            value = f":{flag.metavar}:_files"
        elif flag.metavar:
            parts = ("value" if _values(flag) else flag.metavar, f"({' '.join(_values(flag))})")
            value = "".join(":" + part.replace(":", "\\:") for part in parts)  # which parts them
        else:
            value = ""
        lines += [f"    '*{name}[{text}]{value}' \\" for name in flag.names]
    return "\n".join(
        [
            "#compdef s3-upload",
            "# s3-upload completion zsh > a file _s3-upload in a directory of $fpath, or:",
            "# source <(s3-upload completion zsh)",
            "_s3_upload_profiles() {",
            "  local -a names",
            f'  names=("${{(@f)$({_PROFILES})}}")',
            "  compadd -a names",
            "}",
            "_s3_upload_buckets() {",
            "  local -a names",
            f'  names=(${{(f)"$(s3-upload {BUCKETS} "${{(j: :)words}}" 2>/dev/null)"}})',
            "  compadd -S '' -a names",
            "}",
            "_s3_upload_words() {",
            "  if [[ $PREFIX == s3://* ]]; then _s3_upload_buckets; return; fi",
            f"  if ((CURRENT == 2)); then compadd {' '.join(commands)}; fi",
            f"  if [[ $words[2] == completion ]]; then compadd {' '.join(SHELLS)}; else _files; fi",
            "}",
            "_s3_upload() {",
            "  _arguments \\",
            *lines,
            "    '--help[what it does, or a topic]' '--help-all[all flags]' '--version[its version]' \\",
            "    '*:source or destination:_s3_upload_words'",
            "}",
            'if [[ ${funcstack[1]} == _s3-upload ]]; then _s3_upload "$@"; else',
            "  compdef _s3_upload s3-upload",
            "fi",
        ]
    )


def _fish(flags: list[Flag], commands: Sequence[str]) -> str:
    def quoted(text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    lines = [
        "# s3-upload completion fish | source",
        "function __s3_upload_profiles",
        r"    set -l config $AWS_CONFIG_FILE ~/.aws/config",
        r"    set -l keys $AWS_SHARED_CREDENTIALS_FILE ~/.aws/credentials",
        r"    begin",
        r"        sed -n 's/^\[profile  *\(.*\)\]$/\1/p; s/^\[\(default\)\]$/\1/p' $config[1]",
        r"        sed -n 's/^\[\(.*\)\]$/\1/p' $keys[1]",
        r"    end 2>/dev/null | sort -u",
        "end",
    ]
    lines += [
        "function __s3_upload_at_url",
        "    string match -q 's3://*' -- (commandline -ct)",
        "end",
        "function __s3_upload_buckets",
        f"    s3-upload {BUCKETS} (commandline -p | string collect) 2>/dev/null",
        "end",
        "complete -c s3-upload -f -n __s3_upload_at_url -a '(__s3_upload_buckets)'",
    ]
    first = "test (count (commandline -opc)) -eq 1"
    lines += [f"complete -c s3-upload -n {quoted(first)} -a {name}" for name in commands]
    then = "__fish_seen_subcommand_from completion"
    lines.append(f"complete -c s3-upload -f -n {quoted(then)} -a '{' '.join(SHELLS)}'")
    for flag in flags:
        words = ["complete -c s3-upload"]
        words += [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names]
        if flag.field == "profile":
            words.append("-x -a '(__s3_upload_profiles)'")
        elif flag.metavar in _PATHS:
            words.append("-r -F")
        elif flag.metavar:
            words.append(f"-x -a '{' '.join(_values(flag))}'" if _values(flag) else "-x")
        lines.append(" ".join([*words, "-d", quoted(_first_sentence(flag))]))
    lines.append("complete -c s3-upload -l help -d 'what it does, or a topic'")
    lines.append("complete -c s3-upload -l help-all -d 'all flags'")
    return "\n".join(lines)
