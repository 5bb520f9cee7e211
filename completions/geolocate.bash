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
            predict|query|embed|evaluate|merge|tag|train|explain|export|models|cache|distributed|doctor) command=${COMP_WORDS[1]} ;;
            *) command=predict ;;
        esac
        ((COMP_CWORD > 2)) && case "$command ${COMP_WORDS[2]}" in
            "models add"|"models info"|"models list"|"models pull"|"models remove"|"models verify"|"cache clear"|"cache info") command="$command ${COMP_WORDS[2]}" ;;
        esac
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == "--" ]] && ended=1
    done

    case $command in
        "") options="-0 --null --features --from --max-bytes --fetch-timeout --allow-host -k --top-k --ranking --gallery --by --abstain --near --country --bbox --album --no-album --reference --reference-k --reference-sigma --reference-weight --shard --csv --jsonl --geojson --kml --parquet --map --no-thumbnails --resume --overwrite --concepts --exif --no-exif --geocoder --geocoder-key --geocoder-domain --geocoder-ranks --user-agent -y --yes --model --device --precision --batch-size --workers --isolate --max-pixels --allow-truncated --exact-decode -q --quiet --progress --no-progress -h --help --version" words="predict query embed evaluate merge tag train explain export models cache distributed doctor" kind=file ;;
        "predict") options="-0 --null --features --from --max-bytes --fetch-timeout --allow-host -k --top-k --ranking --gallery --by --abstain --near --country --bbox --album --no-album --reference --reference-k --reference-sigma --reference-weight --shard --csv --jsonl --geojson --kml --parquet --map --no-thumbnails --resume --overwrite --concepts --exif --no-exif --geocoder --geocoder-key --geocoder-domain --geocoder-ranks --user-agent -y --yes --model --device --precision --batch-size --workers --isolate --max-pixels --allow-truncated --exact-decode -q --quiet --progress --no-progress -h --help" words="" kind=file ;;
        "query") options="-k --top-k --ranking --gallery --by --abstain --near --country --bbox --csv --jsonl --geojson --kml --parquet --map --no-thumbnails --resume --overwrite --geocoder --geocoder-key --geocoder-domain --geocoder-ranks --user-agent -y --yes --model --device -q --quiet --progress --no-progress -h --help" words="" kind=none ;;
        "embed") options="-0 --null -o --output --overwrite --from --max-bytes --fetch-timeout --allow-host --model --device --precision --batch-size --workers --isolate --max-pixels --allow-truncated --exact-decode -q --quiet --progress --no-progress -h --help" words="" kind=file ;;
        "evaluate") options="--images --features --predictions --predicted-columns --true-columns --image-column --distance --crops --benchmark --leak-distance --drop-leaked --fit-temperature --json --markdown --pictures --ranking --gallery --reference --reference-k --reference-sigma --reference-weight --model --device --precision --batch-size --workers --isolate --max-pixels --allow-truncated --exact-decode -q --quiet --progress --no-progress -h --help" words="" kind=file ;;
        "merge") options="--csv --jsonl --geojson --kml --parquet --map --no-thumbnails --by-path --any-mount --overwrite -q --quiet --progress --no-progress -h --help" words="" kind=file ;;
        "tag") options="--write --in-place --overwrite --min-probability --max-radius --photos --undo -q --quiet -h --help" words="" kind=file ;;
        "train") options="--images --output --resume --backbone --backbone-weights --views --cache --held-out --apart --gallery --device --concepts --space --divergence --divergence-weight --grounding --epochs --batch-size --optimiser --learning-rate --weight-decay --schedule --decay --noise --queue --queue-noise --negatives-beyond --freeze --data-share --patience --stop-metric --seed --embedding-dim --sigma --frequencies --hidden --projection -q --quiet --progress --no-progress -h --help" words="" kind=file ;;
        "explain") options="-0 --null --features --concepts --interventions --boost --bottleneck --contrast --concept --json --output --geojson --model --device --precision --batch-size --workers --isolate --max-pixels --allow-truncated --exact-decode -q --quiet --progress --no-progress -h --help" words="" kind=file ;;
        "export") options="--output --name --gallery --precision --parity-limit --force -h --help" words="" kind=dir ;;
        "models") options="-h --help" words="add info list pull remove verify" kind=none ;;
        "models add") options="--name --force -h --help" words="" kind=file ;;
        "models info") options="--json -h --help" words="" kind=file ;;
        "models list") options="--json -h --help" words="" kind=none ;;
        "models pull") options="--clip-weights --heads --photos --precision -y --yes --force -h --help" words="geoclip-vit-l-14" kind=words ;;
        "models remove") options="-y --yes -h --help" words="" kind=none ;;
        "models verify") options="-h --help" words="" kind=file ;;
        "cache") options="-h --help" words="clear info" kind=none ;;
        "cache clear") options="-y --yes -h --help" words="places embeddings galleries bottlenecks downloads" kind=words ;;
        "cache info") options="--json -h --help" words="" kind=none ;;
        "distributed") options="-0 --null --address --actors --workers --partition-size --overwrite --from --max-bytes --fetch-timeout --allow-host -k --top-k --ranking --gallery --by --abstain --near --country --bbox --concepts --exif --no-exif --geocoder --model --device --precision --batch-size --isolate --max-pixels --allow-truncated --exact-decode -q --quiet --progress --no-progress -h --help" words="" kind=file ;;
        "doctor") options="--model --device --seconds --self-test --no-self-test --json -h --help" words="" kind=none ;;
    esac

    if [[ -z $ended ]]; then
        case "${command:-predict}:$previous" in
            "predict:--features") kind=value-file words="" ;;
            "predict:--from") kind=value-file words="" ;;
            "predict:--max-bytes") kind=value-none words="" ;;
            "predict:--fetch-timeout") kind=value-none words="" ;;
            "predict:--allow-host") kind=value-none words="" ;;
            "predict:-k"|"predict:--top-k") kind=value-none words="" ;;
            "predict:--ranking") kind=value-words words="merged points published" ;;
            "predict:--gallery") kind=value-file words="" ;;
            "predict:--by") kind=value-words words="place country" ;;
            "predict:--abstain") kind=value-none words="" ;;
            "predict:--near") kind=value-none words="" ;;
            "predict:--country") kind=value-none words="" ;;
            "predict:--bbox") kind=value-none words="" ;;
            "predict:--reference") kind=value-file words="" ;;
            "predict:--reference-k") kind=value-none words="" ;;
            "predict:--reference-sigma") kind=value-none words="" ;;
            "predict:--reference-weight") kind=value-none words="" ;;
            "predict:--shard") kind=value-none words="" ;;
            "predict:--csv") kind=value-file words="" ;;
            "predict:--jsonl") kind=value-file words="" ;;
            "predict:--geojson") kind=value-file words="" ;;
            "predict:--kml") kind=value-file words="" ;;
            "predict:--parquet") kind=value-file words="" ;;
            "predict:--map") kind=value-file words="" ;;
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
            "query:--by") kind=value-words words="place country" ;;
            "query:--abstain") kind=value-none words="" ;;
            "query:--near") kind=value-none words="" ;;
            "query:--country") kind=value-none words="" ;;
            "query:--bbox") kind=value-none words="" ;;
            "query:--csv") kind=value-file words="" ;;
            "query:--jsonl") kind=value-file words="" ;;
            "query:--geojson") kind=value-file words="" ;;
            "query:--kml") kind=value-file words="" ;;
            "query:--parquet") kind=value-file words="" ;;
            "query:--map") kind=value-file words="" ;;
            "query:--geocoder") kind=value-none words="" ;;
            "query:--geocoder-key") kind=value-none words="" ;;
            "query:--geocoder-domain") kind=value-none words="" ;;
            "query:--geocoder-ranks") kind=value-none words="" ;;
            "query:--user-agent") kind=value-none words="" ;;
            "query:--model") kind=value-file words="" ;;
            "query:--device") kind=value-words words="auto cuda cpu" ;;
            "embed:-o"|"embed:--output") kind=value-file words="" ;;
            "embed:--from") kind=value-file words="" ;;
            "embed:--max-bytes") kind=value-none words="" ;;
            "embed:--fetch-timeout") kind=value-none words="" ;;
            "embed:--allow-host") kind=value-none words="" ;;
            "embed:--model") kind=value-file words="" ;;
            "embed:--device") kind=value-words words="auto cuda cpu" ;;
            "embed:--precision") kind=value-words words="auto fp32 int8 fp16" ;;
            "embed:--batch-size") kind=value-none words="" ;;
            "embed:--workers") kind=value-none words="" ;;
            "embed:--max-pixels") kind=value-none words="" ;;
            "evaluate:--images") kind=value-file words="" ;;
            "evaluate:--features") kind=value-file words="" ;;
            "evaluate:--predictions") kind=value-file words="" ;;
            "evaluate:--predicted-columns") kind=value-none words="" ;;
            "evaluate:--true-columns") kind=value-none words="" ;;
            "evaluate:--image-column") kind=value-none words="" ;;
            "evaluate:--distance") kind=value-words words="great-circle geodesic" ;;
            "evaluate:--crops") kind=value-words words="1 10" ;;
            "evaluate:--benchmark") kind=value-words words="im2gps3k yfcc4k gws15k none" ;;
            "evaluate:--leak-distance") kind=value-none words="" ;;
            "evaluate:--fit-temperature") kind=value-file words="" ;;
            "evaluate:--json") kind=value-file words="" ;;
            "evaluate:--markdown") kind=value-file words="" ;;
            "evaluate:--pictures") kind=value-file words="" ;;
            "evaluate:--ranking") kind=value-words words="merged points published" ;;
            "evaluate:--gallery") kind=value-file words="" ;;
            "evaluate:--reference") kind=value-file words="" ;;
            "evaluate:--reference-k") kind=value-none words="" ;;
            "evaluate:--reference-sigma") kind=value-none words="" ;;
            "evaluate:--reference-weight") kind=value-none words="" ;;
            "evaluate:--model") kind=value-file words="" ;;
            "evaluate:--device") kind=value-words words="auto cuda cpu" ;;
            "evaluate:--precision") kind=value-words words="auto fp32 int8 fp16" ;;
            "evaluate:--batch-size") kind=value-none words="" ;;
            "evaluate:--workers") kind=value-none words="" ;;
            "evaluate:--max-pixels") kind=value-none words="" ;;
            "merge:--csv") kind=value-file words="" ;;
            "merge:--jsonl") kind=value-file words="" ;;
            "merge:--geojson") kind=value-file words="" ;;
            "merge:--kml") kind=value-file words="" ;;
            "merge:--parquet") kind=value-file words="" ;;
            "merge:--map") kind=value-file words="" ;;
            "tag:--min-probability") kind=value-none words="" ;;
            "tag:--max-radius") kind=value-none words="" ;;
            "tag:--photos") kind=value-dir words="" ;;
            "train:--images") kind=value-dir words="" ;;
            "train:--output") kind=value-dir words="" ;;
            "train:--backbone") kind=value-none words="" ;;
            "train:--backbone-weights") kind=value-file words="" ;;
            "train:--views") kind=value-none words="" ;;
            "train:--cache") kind=value-dir words="" ;;
            "train:--held-out") kind=value-none words="" ;;
            "train:--apart") kind=value-none words="" ;;
            "train:--gallery") kind=value-file words="" ;;
            "train:--device") kind=value-words words="auto cuda cpu" ;;
            "train:--concepts") kind=value-none words="" ;;
            "train:--space") kind=value-words words="feature concept both" ;;
            "train:--divergence") kind=value-words words="cs mean none" ;;
            "train:--divergence-weight") kind=value-none words="" ;;
            "train:--grounding") kind=value-none words="" ;;
            "train:--epochs") kind=value-none words="" ;;
            "train:--batch-size") kind=value-none words="" ;;
            "train:--optimiser") kind=value-words words="adam adamw sgd" ;;
            "train:--learning-rate") kind=value-none words="" ;;
            "train:--weight-decay") kind=value-none words="" ;;
            "train:--schedule") kind=value-words words="step cosine constant" ;;
            "train:--decay") kind=value-none words="" ;;
            "train:--noise") kind=value-none words="" ;;
            "train:--queue") kind=value-none words="" ;;
            "train:--queue-noise") kind=value-none words="" ;;
            "train:--negatives-beyond") kind=value-none words="" ;;
            "train:--freeze") kind=value-words words="image location logit_scale concepts" ;;
            "train:--data-share") kind=value-none words="" ;;
            "train:--patience") kind=value-none words="" ;;
            "train:--stop-metric") kind=value-words words="median_km loss" ;;
            "train:--seed") kind=value-none words="" ;;
            "train:--embedding-dim") kind=value-none words="" ;;
            "train:--sigma") kind=value-none words="" ;;
            "train:--frequencies") kind=value-none words="" ;;
            "train:--hidden") kind=value-none words="" ;;
            "train:--projection") kind=value-words words="equal_earth degrees" ;;
            "explain:--features") kind=value-file words="" ;;
            "explain:--concepts") kind=value-none words="" ;;
            "explain:--interventions") kind=value-none words="" ;;
            "explain:--contrast") kind=value-none words="" ;;
            "explain:--concept") kind=value-none words="" ;;
            "explain:--output") kind=value-file words="" ;;
            "explain:--geojson") kind=value-file words="" ;;
            "explain:--model") kind=value-file words="" ;;
            "explain:--device") kind=value-words words="auto cuda cpu" ;;
            "explain:--precision") kind=value-words words="auto fp32 int8 fp16" ;;
            "explain:--batch-size") kind=value-none words="" ;;
            "explain:--workers") kind=value-none words="" ;;
            "explain:--max-pixels") kind=value-none words="" ;;
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
            "distributed:--address") kind=value-none words="" ;;
            "distributed:--actors") kind=value-none words="" ;;
            "distributed:--workers") kind=value-none words="" ;;
            "distributed:--partition-size") kind=value-none words="" ;;
            "distributed:--from") kind=value-file words="" ;;
            "distributed:--max-bytes") kind=value-none words="" ;;
            "distributed:--fetch-timeout") kind=value-none words="" ;;
            "distributed:--allow-host") kind=value-none words="" ;;
            "distributed:-k"|"distributed:--top-k") kind=value-none words="" ;;
            "distributed:--ranking") kind=value-words words="merged points published" ;;
            "distributed:--gallery") kind=value-file words="" ;;
            "distributed:--by") kind=value-words words="place country" ;;
            "distributed:--abstain") kind=value-none words="" ;;
            "distributed:--near") kind=value-none words="" ;;
            "distributed:--country") kind=value-none words="" ;;
            "distributed:--bbox") kind=value-none words="" ;;
            "distributed:--concepts") kind=value-none words="" ;;
            "distributed:--geocoder") kind=value-words words="offline none" ;;
            "distributed:--model") kind=value-file words="" ;;
            "distributed:--device") kind=value-words words="auto cuda cpu" ;;
            "distributed:--precision") kind=value-words words="auto fp32 int8 fp16" ;;
            "distributed:--batch-size") kind=value-none words="" ;;
            "distributed:--max-pixels") kind=value-none words="" ;;
            "doctor:--model") kind=value-file words="" ;;
            "doctor:--device") kind=value-words words="auto cuda cpu" ;;
            "doctor:--seconds") kind=value-none words="" ;;
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
                predict|query|embed|evaluate|merge|tag|train|explain|export|models|cache|distributed|doctor) clash=1 ;; # such a folder is reached as ./NAME
                *) COMPREPLY+=("$name") ;;
            esac
        done < <(compgen -f -- "$current")
        [[ -z $clash ]] && compopt -o filenames 2>/dev/null
    fi
}

complete -o default -F _geolocate geolocate
