// Package tree reads the folders of one revision, and shows its files as an fs.FS.
//
// Its input is the objects of a repository and the id of a root folder. Read loads all
// folders into memory, since they are few; Files reads the content of a file when it is
// opened. A Node never changes, so that revisions can share the nodes of equal folders.
// With and New return new nodes.
//
// What is read is untrusted: the number of files, their size, and the depth of folders are
// limited. Opening what cannot be read safely (a symbolic link that leaves the repository,
// a submodule, a Git LFS pointer) fails with an error that names it.
package tree
