# bash completion for geolocate
# Written by scripts/build_completions.py from the program's own options: do not edit.

_geolocate() {
    local IFS=$' \t\n'
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command="" options="" words="" kind="" ended="" name clash="" i
    COMPREPLY=()

    # --option=value arrives as three words.
    if [[ $current == "=" ]]; then
        current=""
    elif [[ $previous == "=" ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi

    if ((COMP_CWORD > 1)); then
        case ${COMP_WORDS[1]} in
            predict|query|export|models) command=${COMP_WORDS[1]} ;;
            *) command=predict ;;
        esac
        ((COMP_CWORD > 2)) && case "$command ${COMP_WORDS[2]}" in
            "models add"|"models info"|"models list"|"models pull"|"models remove"|"models verify") command="$command ${COMP_WORDS[2]}" ;;
        esac
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == "--" ]] && ended=1
    done

    case $command in
        "") options="-0 --null --features -k --top-k --ranking --gallery --csv --jsonl --overwrite --concepts --exif --no-exif --geocoder --geocoder-key --geocoder-domain --geocoder-ranks --user-agent -y --yes --model --device --precision --batch-size --workers --max-pixels --allow-truncated --exact-decode -q --quiet --progress --no-progress -h --help --version" words="predict query export models" kind=file ;;
        "predict") options="-0 --null --features -k --top-k --ranking --gallery --csv --jsonl --overwrite --concepts --exif --no-exif --geocoder --geocoder-key --geocoder-domain --geocoder-ranks --user-agent -y --yes --model --device --precision --batch-size --workers --max-pixels --allow-truncated --exact-decode -q --quiet --progress --no-progress -h --help" words="" kind=file ;;
        "query") options="-k --top-k --ranking --gallery --csv --jsonl --overwrite --geocoder --geocoder-key --geocoder-domain --geocoder-ranks --user-agent -y --yes --model --device -q --quiet --progress --no-progress -h --help" words="" kind=none ;;
        "export") options="--output --name --gallery --precision --parity-limit --force -h --help" words="" kind=dir ;;
        "models") options="-h --help" words="add info list pull remove verify" kind=none ;;
        "models add") options="--name --force -h --help" words="" kind=file ;;
        "models info") options="--json -h --help" words="" kind=file ;;
        "models list") options="--json -h --help" words="" kind=none ;;
        "models pull") options="--clip-weights --heads --photos --precision -y --yes --force -h --help" words="geoclip-vit-l-14" kind=words ;;
        "models remove") options="-y --yes -h --help" words="" kind=none ;;
        "models verify") options="-h --help" words="" kind=file ;;
    esac

    if [[ -z $ended ]]; then
        case "${command:-predict}:$previous" in
            "predict:--features") kind=value-file words="" ;;
            "predict:-k"|"predict:--top-k") kind=value-none words="" ;;
            "predict:--ranking") kind=value-words words="merged points published" ;;
            "predict:--gallery") kind=value-file words="" ;;
            "predict:--csv") kind=value-file words="" ;;
            "predict:--jsonl") kind=value-file words="" ;;
            "predict:--concepts") kind=value-none words="" ;;
            "predict:--geocoder") kind=value-none words="" ;;
            "predict:--geocoder-key") kind=value-none words="" ;;
            "predict:--geocoder-domain") kind=value-none words="" ;;
            "predict:--geocoder-ranks") kind=value-none words="" ;;
            "predict:--user-agent") kind=value-none words="" ;;
            "predict:--model") kind=value-file words="" ;;
            "predict:--device") kind=value-words words="auto cuda cpu" ;;
            "predict:--precision") kind=value-words words="auto fp32 int8 fp16" ;;
            "predict:--batch-size") kind=value-none words="" ;;
            "predict:--workers") kind=value-none words="" ;;
            "predict:--max-pixels") kind=value-none words="" ;;
            "query:-k"|"query:--top-k") kind=value-none words="" ;;
            "query:--ranking") kind=value-words words="merged points published" ;;
            "query:--gallery") kind=value-file words="" ;;
            "query:--csv") kind=value-file words="" ;;
            "query:--jsonl") kind=value-file words="" ;;
            "query:--geocoder") kind=value-none words="" ;;
            "query:--geocoder-key") kind=value-none words="" ;;
            "query:--geocoder-domain") kind=value-none words="" ;;
            "query:--geocoder-ranks") kind=value-none words="" ;;
            "query:--user-agent") kind=value-none words="" ;;
            "query:--model") kind=value-file words="" ;;
            "query:--device") kind=value-words words="auto cuda cpu" ;;
            "export:--output") kind=value-file words="" ;;
            "export:--name") kind=value-none words="" ;;
            "export:--gallery") kind=value-file words="" ;;
            "export:--precision") kind=value-words words="fp32" ;;
            "export:--parity-limit") kind=value-none words="" ;;
            "models add:--name") kind=value-none words="" ;;
            "models pull:--clip-weights") kind=value-file words="" ;;
            "models pull:--heads") kind=value-dir words="" ;;
            "models pull:--photos") kind=value-dir words="" ;;
            "models pull:--precision") kind=value-words words="int8 fp16" ;;
        esac
        if [[ $kind != value-* && $current == -* ]]; then
            COMPREPLY=($(compgen -W "$options" -- "$current"))
            compopt +o default 2>/dev/null
            return
        fi
    fi

    case $kind in
        *file) ;;
        *dir) compopt +o default -o dirnames 2>/dev/null ;;
        *) compopt +o default 2>/dev/null ;;
    esac
    [[ -n $words ]] && COMPREPLY=($(compgen -W "$words" -- "$current"))

    # Without a match bash completes files by itself; beside command names they have to be listed here.
    if [[ $kind == file && ${#COMPREPLY[@]} -gt 0 ]]; then
        while IFS= read -r name; do
            case $name in
                predict|query|export|models) clash=1 ;; # such a folder is reached as ./NAME
                *) COMPREPLY+=("$name") ;;
            esac
        done < <(compgen -f -- "$current")
        [[ -z $clash ]] && compopt -o filenames 2>/dev/null
    fi
}

complete -o default -F _geolocate geolocate
