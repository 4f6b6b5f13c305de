# shellcheck shell=bash
# Names that profiles ask for: each package has a note and nothing to run. And a group, and something provided.

small_packages=(arch-install-scripts git grub gum jq libnewt nano nbd openssl reflector vim)

package_small() {
    description="The name $package, for tests of package lists"
    readme
    case $package in
        nano | vim) provides=("text-editor=1") groups=(editors) ;;
    esac
}

package_needs_editor() {
    description="Is satisfied by any text editor"
    depends=('text-editor>=1')
    readme
}

# A directory of many files, for progress and for hashing: 2000 of 4 KiB, none of them alike.
package_bulk() {
    description="Many files"
    local folder number
    for folder in {00..19}; do
        mkdir -p "$root/usr/share/bulk/$folder"
        for number in {00..99}; do
            printf '%s-%s %*s\n' "$folder" "$number" 4080 "$number" >"$root/usr/share/bulk/$folder/$number"
        done
    done
}
