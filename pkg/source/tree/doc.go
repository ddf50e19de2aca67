// Package tree reads the folders of one revision, and shows its files as an fs.FS.
//
// In come the objects of a repository and the id of a root folder. Read takes all folders
// into memory, since they are few; Files opens the content of a file when it is asked for.
// A Node never changes, so that revisions share those of the folders that are equal in
// both, and what is made of one by With or New is another.
//
// What is read is untrusted: the number of files, their size, and the depth of folders are
// limited, and what cannot be read safely (a symbolic link that leaves the repository, a
// submodule, a Git LFS pointer) is refused by name when it is opened.
package tree
