# shellcheck shell=bash
# What is installed, and where: one list for the .deb, the other packages, and one user's desktop. Wants $packaging.

app_id=io.github.cartridge_console.Cartridge
icon_sizes=(16 24 32 48 64 128 256 512)

# desktop_files: what the desktop needs, a line each: source, place under share/.
desktop_files() {
    local size
    echo "desktop/$app_id.desktop applications/$app_id.desktop"
    echo "desktop/$app_id.metainfo.xml metainfo/$app_id.metainfo.xml"
    echo "desktop/$app_id.xml mime/packages/$app_id.xml"
    echo "../assets/icons/cartridge.svg icons/hicolor/scalable/apps/$app_id.svg"
    echo "../assets/icons/cartridge-symbolic.svg icons/hicolor/symbolic/apps/$app_id-symbolic.svg"
    for size in "${icon_sizes[@]}"; do
        echo "../assets/icons/cartridge-$size.png icons/hicolor/${size}x$size/apps/$app_id.png"
    done
}

# install_desktop_files SHARE: puts them there.
install_desktop_files() {
    local source place
    while read -r source place; do
        install -D -m 644 -- "${packaging:?}/$source" "$1/$place"
    done < <(desktop_files)
}

# desktop_exec PROGRAM: a path as the key Exec wants it (Desktop Entry Specification, "The Exec key").
desktop_exec() {
    local path=$1
    case $path in *[!A-Za-z0-9_./+-]*) ;; *) printf '%s' "$path"; return ;; esac
    # Inside quotes these four are escaped, then every backslash once more because the value is a string; % is doubled.
    path=$(printf '%s' "$path" | sed -e 's/[\\"`$]/\\&/g' -e 's/\\/\\\\/g' -e 's/%/%%/g')
    printf '"%s"' "$path"
}
