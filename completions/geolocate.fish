# fish completion for geolocate
# Written by scripts/build_completions.py from the program's own options: do not edit.

function __geolocate_at_first_word
    test (count (commandline -opc)) -eq 1
end

function __geolocate_command
    set -l words (commandline -opc)
    set -l paths 'predict' 'query' 'export' 'models' 'models add' 'models info' 'models list' 'models pull' 'models remove' 'models verify'
    if set -q words[3]; and contains -- "$words[2] $words[3]" $paths
        echo "$words[2] $words[3]"
    else if set -q words[2]; and contains -- $words[2] $paths
        echo $words[2]
    else
        echo predict
    end
end

function __geolocate_in
    test (__geolocate_command) = "$argv"
end

complete -c geolocate -n __geolocate_at_first_word -a predict -d 'Tell where photos were taken (the default command)'
complete -c geolocate -n __geolocate_at_first_word -a query -d 'Tell where a photo that a text describes would have been taken'
complete -c geolocate -n __geolocate_at_first_word -a export -d 'Export torch encoders to an ONNX bundle, parity enforced'
complete -c geolocate -n __geolocate_at_first_word -a models -d 'List, add, check, remove and pull bundles'
complete -c geolocate -n __geolocate_at_first_word -l version -d 'Show the version and exit'

complete -c geolocate -n '__geolocate_in predict' -s 0 -l null -d 'Paths on standard input end in NUL instead of a newline'
complete -c geolocate -n '__geolocate_in predict' -l features -r -F -d 'The backbone\'s features of photos, one a row, in place of PATHs: raw, not normalised'
complete -c geolocate -n '__geolocate_in predict' -s k -l top-k -x -d 'Candidates, best first'
complete -c geolocate -n '__geolocate_in predict' -l ranking -x -a 'merged points published' -d 'merged: points within 25 km are one place; points: each gallery point by itself; published: as GeoCLIP does it, duplicates kept'
complete -c geolocate -n '__geolocate_in predict' -l gallery -r -F -d 'Your own coordinates to choose from (columns LAT and LON), in place of the bundle\'s; embedded once and kept in your cache folder'
complete -c geolocate -n '__geolocate_in predict' -l csv -r -F -d 'Write CSV; - is standard output'
complete -c geolocate -n '__geolocate_in predict' -l jsonl -r -F -d 'Write JSON lines; - is standard output'
complete -c geolocate -n '__geolocate_in predict' -l overwrite -d 'Discard what an interrupted run left beside an output file'
complete -c geolocate -n '__geolocate_in predict' -l concepts -x -d 'Concepts that the photo shows, where the model has any; 0 for none'
complete -c geolocate -n '__geolocate_in predict' -l exif -d 'Read the true position from EXIF and give the error in km'
complete -c geolocate -n '__geolocate_in predict' -l no-exif -d 'not --exif'
complete -c geolocate -n '__geolocate_in predict' -l geocoder -x -d 'What names places: offline, none, or a service that geopy knows (nominatim, photon, ...), which then learns the guesses, rounded to 0.01 degree'
complete -c geolocate -n '__geolocate_in predict' -l geocoder-key -x -d 'Your key for that service'
complete -c geolocate -n '__geolocate_in predict' -l geocoder-domain -x -d 'Your own server of that service'
complete -c geolocate -n '__geolocate_in predict' -l geocoder-ranks -x -d 'Ranks that the service is asked for; the others get offline names'
complete -c geolocate -n '__geolocate_in predict' -l user-agent -x -d 'How to introduce yourself to that service'
complete -c geolocate -n '__geolocate_in predict' -s y -l yes -d 'Ask a service for more than 1,000 places'
complete -c geolocate -n '__geolocate_in predict' -l model -r -F -d 'Bundle, by name or folder. [default: geoclip-vit-l-14 if installed, else starter]'
complete -c geolocate -n '__geolocate_in predict' -l device -x -a 'auto cuda cpu' -d 'auto falls back to the CPU and says so; cuda fails with the reason'
complete -c geolocate -n '__geolocate_in predict' -l precision -x -a 'auto fp32 int8 fp16' -d 'auto: on the CPU int8 if the bundle has it, on CUDA fp16, else fp32'
complete -c geolocate -n '__geolocate_in predict' -l batch-size -x -d 'Photos in one call of the model. [default: by device]'
complete -c geolocate -n '__geolocate_in predict' -l workers -x -d 'Threads that decode photos. [default: one per core]'
complete -c geolocate -n '__geolocate_in predict' -l max-pixels -x -d 'Larger photos fail'
complete -c geolocate -n '__geolocate_in predict' -l allow-truncated -d 'Use what there is of a truncated photo'
complete -c geolocate -n '__geolocate_in predict' -l exact-decode -d 'Decode JPEG at full scale: several times slower, next to no difference'
complete -c geolocate -n '__geolocate_in predict' -s q -l quiet -d 'No messages and no progress on standard error'
complete -c geolocate -n '__geolocate_in predict' -l progress -d 'Progress on standard error. [default: on a terminal]'
complete -c geolocate -n '__geolocate_in predict' -l no-progress -d 'not --progress'
complete -c geolocate -n '__geolocate_in predict' -s h -l help -d 'Show this message and exit'

complete -c geolocate -n '__geolocate_in query' -f
complete -c geolocate -n '__geolocate_in query' -s k -l top-k -x -d 'Candidates, best first'
complete -c geolocate -n '__geolocate_in query' -l ranking -x -a 'merged points published' -d 'merged: points within 25 km are one place; points: each gallery point by itself; published: as GeoCLIP does it, duplicates kept'
complete -c geolocate -n '__geolocate_in query' -l gallery -r -F -d 'Your own coordinates to choose from (columns LAT and LON), in place of the bundle\'s; embedded once and kept in your cache folder'
complete -c geolocate -n '__geolocate_in query' -l csv -r -F -d 'Write CSV; - is standard output'
complete -c geolocate -n '__geolocate_in query' -l jsonl -r -F -d 'Write JSON lines; - is standard output'
complete -c geolocate -n '__geolocate_in query' -l overwrite -d 'Discard what an interrupted run left beside an output file'
complete -c geolocate -n '__geolocate_in query' -l geocoder -x -d 'What names places: offline, none, or a service that geopy knows (nominatim, photon, ...), which then learns the guesses, rounded to 0.01 degree'
complete -c geolocate -n '__geolocate_in query' -l geocoder-key -x -d 'Your key for that service'
complete -c geolocate -n '__geolocate_in query' -l geocoder-domain -x -d 'Your own server of that service'
complete -c geolocate -n '__geolocate_in query' -l geocoder-ranks -x -d 'Ranks that the service is asked for; the others get offline names'
complete -c geolocate -n '__geolocate_in query' -l user-agent -x -d 'How to introduce yourself to that service'
complete -c geolocate -n '__geolocate_in query' -s y -l yes -d 'Ask a service for more than 1,000 places'
complete -c geolocate -n '__geolocate_in query' -l model -r -F -d 'Bundle, by name or folder. [default: geoclip-vit-l-14 if installed, else starter]'
complete -c geolocate -n '__geolocate_in query' -l device -x -a 'auto cuda cpu' -d 'auto falls back to the CPU and says so; cuda fails with the reason'
complete -c geolocate -n '__geolocate_in query' -s q -l quiet -d 'No messages and no progress on standard error'
complete -c geolocate -n '__geolocate_in query' -l progress -d 'Progress on standard error. [default: on a terminal]'
complete -c geolocate -n '__geolocate_in query' -l no-progress -d 'not --progress'
complete -c geolocate -n '__geolocate_in query' -s h -l help -d 'Show this message and exit'

complete -c geolocate -n '__geolocate_in export' -f -a '(__fish_complete_directories)'
complete -c geolocate -n '__geolocate_in export' -l output -r -F -d 'Folder of the new bundle. [default: ./NAME]'
complete -c geolocate -n '__geolocate_in export' -l name -x -d 'Name of the bundle. [default: the checkpoint\'s folder; else starter]'
complete -c geolocate -n '__geolocate_in export' -l gallery -r -F -d 'CSV with the columns LAT and LON (any case); equal rows count as weight. [default: the starter\'s gallery]'
complete -c geolocate -n '__geolocate_in export' -l precision -x -a 'fp32' -d 'Variant of the image encoder'
complete -c geolocate -n '__geolocate_in export' -l parity-limit -x -d 'Largest difference between torch\'s and ONNX Runtime\'s embeddings; past it nothing is written'
complete -c geolocate -n '__geolocate_in export' -l force -d 'Replace an existing bundle, once the new one is complete'
complete -c geolocate -n '__geolocate_in export' -s h -l help -d 'Show this message and exit'

complete -c geolocate -n '__geolocate_in models' -f -a 'add info list pull remove verify'
complete -c geolocate -n '__geolocate_in models' -s h -l help -d 'Show this message and exit'

complete -c geolocate -n '__geolocate_in models add' -l name -x -d 'Name to install it under. [default: its own]'
complete -c geolocate -n '__geolocate_in models add' -l force -d 'Replace a bundle of that name, once the new one is complete'
complete -c geolocate -n '__geolocate_in models add' -s h -l help -d 'Show this message and exit'

complete -c geolocate -n '__geolocate_in models info' -l json -d 'JSON in place of text'
complete -c geolocate -n '__geolocate_in models info' -s h -l help -d 'Show this message and exit'

complete -c geolocate -n '__geolocate_in models list' -f
complete -c geolocate -n '__geolocate_in models list' -l json -d 'JSON in place of text'
complete -c geolocate -n '__geolocate_in models list' -s h -l help -d 'Show this message and exit'

complete -c geolocate -n '__geolocate_in models pull' -f -a 'geoclip-vit-l-14'
complete -c geolocate -n '__geolocate_in models pull' -l clip-weights -r -F -d 'CLIP ViT-L/14 that is on this machine: a folder in Hugging Face\'s or open_clip\'s layout, or a file of open_clip\'s or OpenAI\'s. Nothing is fetched then'
complete -c geolocate -n '__geolocate_in models pull' -l heads -x -a '(__fish_complete_directories)' -d 'Folder with GeoCLIP\'s weights and gallery. [default: the installed geoclip package]'
complete -c geolocate -n '__geolocate_in models pull' -l photos -x -a '(__fish_complete_directories)' -d 'Some photos of yours, at least 16 and the more mixed the better: from them the model learns where photos lie beside texts. Without it `query` is less exact and there are no concepts'
complete -c geolocate -n '__geolocate_in models pull' -l precision -x -a 'int8 fp16' -d 'Variants beside fp32: int8 for the CPU, fp16 for CUDA. May be repeated'
complete -c geolocate -n '__geolocate_in models pull' -s y -l yes -d 'Do not ask'
complete -c geolocate -n '__geolocate_in models pull' -l force -d 'Replace a bundle of that name, once the new one is complete'
complete -c geolocate -n '__geolocate_in models pull' -s h -l help -d 'Show this message and exit'

complete -c geolocate -n '__geolocate_in models remove' -f
complete -c geolocate -n '__geolocate_in models remove' -s y -l yes -d 'Do not ask'
complete -c geolocate -n '__geolocate_in models remove' -s h -l help -d 'Show this message and exit'

complete -c geolocate -n '__geolocate_in models verify' -s h -l help -d 'Show this message and exit'
