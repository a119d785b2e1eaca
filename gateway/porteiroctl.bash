# Completion of porteiroctl for bash. Commands and their options are those that --help tells.

_porteiroctl()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' help i
    help=$("${COMP_WORDS[0]}" --help 2>/dev/null)
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -s) ((++i)) ;;
            -*) ;;
            *) command=${COMP_WORDS[i]}; break ;;
        esac
    done
    COMPREPLY=()
    if ((i > COMP_CWORD)); then
        mapfile -t COMPREPLY < <(compgen -f -- "$word") # the socket
    elif [[ -z $command ]]; then
        mapfile -t COMPREPLY < <(compgen -W "-s --json $(sed -n 's/^  \([a-z-]*\) .*/\1/p' <<< "$help")" -- "$word")
    elif ((i + 1 == COMP_CWORD)) && [[ $help == *"  $command "[a-z]*'|'* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(sed -n "s/^  $command \\([a-z|]*\\) .*/\\1/p" <<< "$help" | tr '|' ' ')" -- "$word")
    elif [[ $before =~ ^--[a-z]+$ && $help =~ "  $command "[^$'\n']*"$before "([a-z0-9_]+\|[a-z0-9_|]+) ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${BASH_REMATCH[1]//|/ }" -- "$word")
    elif [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(grep "^  $command " <<< "$help" | grep -o -- '--[a-z-]*')" -- "$word")
    fi
}
complete -F _porteiroctl porteiroctl
